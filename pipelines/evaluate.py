"""Evaluate: every model and the boosted trees on the test days, per scenario and task, and the verdict."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.champion import find_champion
from pipelines.console import console, stage
from pipelines.datasets.leaks import find_leaks
from pipelines.errors import MissingPartitionError
from pipelines.evaluation import Evaluation, judge
from pipelines.files import write_whole
from pipelines.model_files import verified_digest
from pipelines.settings import Settings
from pipelines.tables import metrics_table, scenario_table
from pipelines.train import validated_arrays
from training.artifact import CURVES, PREDICTIONS
from training.card import read_card
from training.data.arrays import EncodedArrays
from training.errors import ArtifactError
from training.evaluation import ModelMetrics, evaluate_predictions
from training.sealed import SealError, verify
from training.yardstick import boosted_predictions

YARDSTICK = "lightgbm"


def evaluate(settings: Settings, ds: date) -> Evaluation:
    """Measure the models of the run that ends on `ds` on its test days.

    Writes evaluation/DATASET/ds=D.json, reports/metrics.json and reports/plots/*.csv, and prints the
    metrics. A verdict against the chosen model stops `publish`, not this stage.

    Raises:
        MissingPartitionError: a model of params.yaml was not trained on this training set.
        NotValidatedError: the training set has not passed its gate.
    """
    with stage(settings, "evaluate", ds) as facts:
        arrays = validated_arrays(settings, ds)
        predictions = {
            name: _trained_predictions(settings, ds, name, arrays) for name in settings.params.train.models
        }
        predictions[YARDSTICK] = boosted_predictions(arrays, settings.params.train.seed)
        evaluation = _evaluation(settings, ds, arrays, predictions)
        write_whole(settings.evaluation / f"ds={ds}.json", evaluation.model_dump_json(indent=2) + "\n")
        write_whole(
            settings.reports / "metrics.json", json.dumps(_dvc_metrics(evaluation.models), indent=2) + "\n"
        )
        _write_plots(settings, ds, evaluation)
        chosen = evaluation.verdict.model
        task = evaluation.tasks[0]
        facts |= {
            "rows": arrays.rows("test"),
            "model": chosen,
            "passed": evaluation.verdict.passed,
            f"auc_{task}": evaluation.models[chosen].overall[task].auc,
        }
    console.print(metrics_table(evaluation), scenario_table(evaluation))
    for reason in evaluation.verdict.reasons:
        console.print(f"[bold red]{chosen} will not be published:[/] {reason}")
    return evaluation


def _evaluation(
    settings: Settings, ds: date, arrays: EncodedArrays, predictions: Mapping[str, NDArray[np.float32]]
) -> Evaluation:
    params = settings.params
    chosen = params.publish.model
    if chosen not in params.train.models:
        raise MissingPartitionError(
            f"publish.model {chosen} is not one of train.models in params.yaml, so nothing trains it"
        )
    # Metrics of NaN would be NaN; the verdict says what is wrong.
    scores = {name: np.nan_to_num(values, nan=0.5) for name, values in predictions.items()}
    metrics = {
        name: evaluate_predictions(arrays, values, params.evaluate.min_positives)
        for name, values in scores.items()
    }
    champion = find_champion(settings, ds, arrays)
    return Evaluation(
        dataset=settings.dataset,
        ds=str(ds),
        service=arrays.encoder.spec.service,
        data=arrays.fingerprint,
        tasks=arrays.encoder.spec.tasks,
        days=arrays.days,
        rows={split: arrays.rows(split) for split in arrays.days},
        models=metrics,
        champion=champion,
        verdict=judge(
            chosen,
            metrics[chosen],
            champion,
            finite=bool(np.isfinite(predictions[chosen]).all()),
            max_auc_drop=params.publish.max_auc_drop,
            leaks=find_leaks(settings, ds, scores[chosen]),
        ),
        hashes=verified_digest(settings.models / chosen / f"ds={ds}"),
    )


def _trained_predictions(
    settings: Settings, ds: date, name: str, arrays: EncodedArrays
) -> NDArray[np.float32]:
    """What the model said of the test rows when it had been trained; its files are verified first."""
    folder = settings.models / name / f"ds={ds}"
    command = f"run `gatehouse train {name} --ds {ds}`"
    try:
        verify(folder)
        card = read_card(folder)
    except (SealError, ArtifactError) as error:
        raise MissingPartitionError(f"{name} of {ds} is not there ({error}); {command}") from error
    if card.data != arrays.fingerprint:
        raise MissingPartitionError(f"{name} of {ds} was trained on another training set; {command}")
    predictions: NDArray[np.float32] = np.load(folder / PREDICTIONS, allow_pickle=False)
    return predictions


def _dvc_metrics(models: Mapping[str, ModelMetrics]) -> dict[str, Any]:
    """The numbers that `dvc metrics diff` compares: by model, then task."""
    return {
        name: {
            task: {
                "auc": own.auc,
                "auc_by_scenario": metrics.macro_auc[task],
                "gauc": own.gauc,
                "log_loss": own.log_loss,
                "calibration": own.calibration,
            }
            for task, own in metrics.overall.items()
        }
        for name, metrics in models.items()
    }


def _write_plots(settings: Settings, ds: date, evaluation: Evaluation) -> None:
    """Learning curves of all models, and AUC by scenario, as DVC plots."""
    curves: list[list[str]] = []
    for name in settings.params.train.models:
        path = settings.models / name / f"ds={ds}" / CURVES
        with path.open(encoding="utf-8", newline="") as stream:
            curves += [
                [name, line["epoch"], line["train_loss"], line["validation_loss"]]
                for line in csv.DictReader(stream)
            ]
    areas = [
        [name, scenario, task, f"{own.auc:.6f}"]
        for name, metrics in evaluation.models.items()
        for scenario, tasks in metrics.scenarios.items()
        for task, own in tasks.items()
        if own.auc is not None
    ]
    plots = settings.reports / "plots"
    _write_csv(plots / "curves.csv", ["model", "epoch", "train_loss", "validation_loss"], curves)
    _write_csv(plots / "scenario_auc.csv", ["model", "scenario", "task", "auc"], areas)


def _write_csv(path: Path, head: list[str], rows: Iterable[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    write_whole(path, text.getvalue())
