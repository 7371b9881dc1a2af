"""Evaluate: every model and the boosted trees on the test days, per scenario and task."""

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

from pipelines.evaluation import Evaluation
from pipelines.files import write_whole
from pipelines.model_files import verified_digest
from pipelines.observing.console import console, stage
from pipelines.predictions import trained_predictions
from pipelines.settings import Settings
from pipelines.tables import metrics_table, scenario_table
from pipelines.train import validated_arrays
from training.artifact import CURVES
from training.data.arrays import EncodedArrays
from training.evaluation import ModelMetrics, evaluate_predictions
from training.yardstick import boosted_predictions

YARDSTICK = "lightgbm"


def evaluate(settings: Settings, ds: date) -> Evaluation:
    """Measure the models of the run that ends on `ds` on its test days.

    Writes evaluation/DATASET/ds=D.json, reports/metrics.json and reports/plots/*.csv, and prints the
    metrics.

    Raises:
        MissingPartitionError: a model of params.yaml was not trained on this training set.
        NotValidatedError: the training set has not passed its gate.
    """
    with stage(settings, "evaluate", ds) as facts:
        arrays = validated_arrays(settings, ds)
        predictions = {
            name: trained_predictions(settings, ds, name, arrays) for name in settings.params.train.models
        }
        predictions[YARDSTICK] = boosted_predictions(arrays, settings.params.train.seed)
        evaluation = _evaluation(settings, ds, arrays, predictions)
        write_whole(settings.evaluation / f"ds={ds}.json", evaluation.model_dump_json(indent=2) + "\n")
        write_whole(
            settings.reports / "metrics.json", json.dumps(_dvc_metrics(evaluation.models), indent=2) + "\n"
        )
        _write_plots(settings, ds, evaluation)
        facts |= {"rows": arrays.rows("test"), "models": len(evaluation.models)}
    console.print(metrics_table(evaluation), scenario_table(evaluation))
    return evaluation


def _evaluation(
    settings: Settings, ds: date, arrays: EncodedArrays, predictions: Mapping[str, NDArray[np.float32]]
) -> Evaluation:
    # Metrics of NaN would be NaN; promote refuses such a model.
    scores = {name: np.nan_to_num(values, nan=0.5) for name, values in predictions.items()}
    return Evaluation(
        dataset=settings.dataset,
        ds=str(ds),
        service=arrays.encoder.spec.service,
        data=arrays.fingerprint,
        tasks=arrays.encoder.spec.tasks,
        days=arrays.days,
        rows={split: arrays.rows(split) for split in arrays.days},
        models={
            name: evaluate_predictions(arrays, values, settings.params.evaluate.min_positives)
            for name, values in scores.items()
        },
        hashes={
            name: verified_digest(settings.models / name / f"ds={ds}")
            for name in settings.params.train.models
        },
    )


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
