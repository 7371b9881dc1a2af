"""The champion: the newest published model of an earlier run, scored on this run's test rows."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.days import Days
from pipelines.evaluation import Champion
from pipelines.lake import Lake
from pipelines.registry import Registry, fetch, versions
from pipelines.settings import Settings
from pipelines.training_sets import training_set
from training.artifact import load_model
from training.data.arrays import EncodedArrays
from training.data.errors import EncodingError
from training.errors import ArtifactError
from training.evaluation import ModelMetrics, evaluate_predictions
from training.loop import find_device
from training.score import encoded_batches, score


def find_champion(settings: Settings, ds: date, arrays: EncodedArrays) -> Champion | None:
    """The newest published version of `publish.model` from a run before `ds`; None without one.

    It reads the training set's columns with the encoder it was published with, so that it sees what it
    would see online. A later run's model has seen these test days, so it is no champion of theirs.

    Raises:
        PublishError: the registry cannot be read.
    """
    model = settings.params.publish.model
    registry = Registry.of(settings)
    if registry.local is not None and not Path(registry.url).exists():
        return None
    with registry.clone() as clone, tempfile.TemporaryDirectory(prefix="gatehouse-champion-") as folder:
        earlier = [version for version in versions(clone, model) if version.ds < str(ds)]
        if not earlier:
            return None
        version = earlier[-1]
        fetch(clone, version, Path(folder) / "model")
        metrics: ModelMetrics | None = None
        reason: str | None = None
        try:
            metrics = evaluate_predictions(
                arrays,
                _predictions(settings, ds, arrays, Path(folder) / "model"),
                settings.params.evaluate.min_positives,
            )
        except (ArtifactError, EncodingError) as error:
            # Its code or its features are gone. That must not keep a new model from being published.
            reason = str(error)
    return Champion(model=model, version=version.name, ds=version.ds, metrics=metrics, reason=reason)


def _predictions(settings: Settings, ds: date, arrays: EncodedArrays, folder: Path) -> NDArray[np.float32]:
    """The published model's probabilities for the test rows, [N_test, T] in this run's order of tasks."""
    model, encoder = load_model(folder)
    tasks = arrays.encoder.spec.tasks
    if encoder.spec.tasks != tasks:
        raise EncodingError(f"it predicts {', '.join(encoder.spec.tasks)}, not {', '.join(tasks)}")
    table = training_set(settings.params.features.service)
    rows = pq.read_table(Lake(settings.lake).files(table, Days.one(ds)))
    start, stop = arrays.span("test")
    device = find_device(settings.device)
    return score(
        model.to(device), encoded_batches(encoder.transform(rows.slice(start, stop - start)), device)
    )
