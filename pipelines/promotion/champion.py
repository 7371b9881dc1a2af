"""The champion: the published version that a challenger would replace, scored on the same test rows."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.days import Days
from pipelines.lake import Lake
from pipelines.registry import Registry, Version, champion_of, fetch, in_production
from pipelines.settings import Settings
from pipelines.training_sets import training_set
from training.artifact import load_model
from training.card import read_card
from training.data.arrays import EncodedArrays
from training.data.errors import EncodingError
from training.devices import find_device
from training.errors import ArtifactError
from training.score import encoded_batches, score


@dataclass(frozen=True, slots=True)
class Scored:
    """A champion and what it says.

    Attributes:
        version: which one it is.
        production: whether it is the version in production.
        predictions: probabilities for the test rows, float32 [N_test, T] in this run's order of tasks; None
            where it cannot be scored.
        reason: why not.
    """

    version: Version
    production: bool
    predictions: NDArray[np.float32] | None
    reason: str | None


def find_champion(settings: Settings, ds: date, arrays: EncodedArrays, challenger: str) -> Scored | None:
    """The champion of `publish.model` that a run ending on `ds` has, and what it says; None without one.

    `challenger` is the SHA-256 of the challenger's hashes.json. The champion reads the training set's columns
    with the encoder it was published with, so that it sees what it would see online.

    Raises:
        PublishError: the registry cannot be read.
    """
    model = settings.params.publish.model
    registry = Registry.of(settings)
    if registry.local is not None and not Path(registry.url).exists():
        return None
    with registry.clone() as clone, tempfile.TemporaryDirectory(prefix="gatehouse-champion-") as folder:
        version = champion_of(clone, model, str(ds), challenger)
        if version is None:
            return None
        fetch(clone, version, Path(folder) / "model")
        predictions: NDArray[np.float32] | None = None
        reason: str | None = None
        try:
            predictions = _predictions(settings, ds, arrays, Path(folder) / "model")
        except (ArtifactError, EncodingError) as error:
            # Its code or its features are gone. That must not keep a new model from being published.
            reason = str(error)
        return Scored(version, version == in_production(clone, model), predictions, reason)


def _predictions(settings: Settings, ds: date, arrays: EncodedArrays, folder: Path) -> NDArray[np.float32]:
    """The published model's probabilities for the test rows, [N_test, T] in this run's order of tasks."""
    model, encoder = load_model(folder)
    tasks = arrays.encoder.spec.tasks
    if encoder.spec.tasks != tasks:
        raise EncodingError(f"it predicts {', '.join(encoder.spec.tasks)}, not {', '.join(tasks)}")
    require_unseen(folder, arrays)
    table = training_set(settings.params.features.service)
    rows = pq.read_table(Lake(settings.lake).files(table, Days.one(ds)))
    start, stop = arrays.span("test")
    device = find_device(settings.device)
    return score(
        model.to(device), encoded_batches(encoder.transform(rows.slice(start, stop - start)), device)
    )


def require_unseen(folder: Path, arrays: EncodedArrays) -> None:
    """Refuse a model that was trained, or whose epoch was chosen, on days that are test days now.

    Raises:
        ArtifactError: it has no card that says on which days.
        EncodingError: it has seen them.
    """
    seen = max(last for split, (_, last) in read_card(folder).days.items() if split != "test")
    first, _ = arrays.days["test"]
    if seen >= first:
        raise EncodingError(
            f"it was trained on days up to {seen}, and the held-out rows begin on {first}: its figures would "
            "be too good"
        )
