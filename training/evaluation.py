"""Metrics of predictions on the test rows: over all rows, and within each scenario, for each task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from training.metrics import auc, calibration, calibration_error, gauc, log_loss, pairs

if TYPE_CHECKING:
    from training.data.arrays import EncodedArrays

UNSEEN_SCENARIO = "(unseen)"
"""Test rows of scenarios that the training days hardly had."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskMetrics(_Frozen):
    """One task on one set of rows; only rows with the task's label count.

    Attributes:
        rows, positives: how many.
        auc: area under the ROC curve.
        gauc: mean AUC within (user, day), weighted by rows. Within the user alone it misleads: a row of a
            later day has the labels of the user's earlier test rows among its features.
        gauc_user: mean AUC within the user, weighted by rows.
        log_loss: nats a row.
        constant_log_loss: of always predicting the task's rate in the training days.
        calibration: sum of probabilities over number of positives.
        calibration_error: expected calibration error, ten bins of equal mass.
        reason: why the areas are missing; null where they are not.
    """

    rows: int
    positives: int
    auc: float | None
    gauc: float | None
    gauc_user: float | None
    log_loss: float | None
    constant_log_loss: float | None
    calibration: float | None
    calibration_error: float | None
    reason: str | None = None


class ModelMetrics(_Frozen):
    """One model on the test rows.

    Attributes:
        overall: by task.
        macro_auc: by task, the plain mean of the AUC over scenarios that have one.
        scenarios: by scenario id, then task; most rows first.
    """

    overall: dict[str, TaskMetrics]
    macro_auc: dict[str, float | None]
    scenarios: dict[str, dict[str, TaskMetrics]]


def evaluate_predictions(
    arrays: EncodedArrays, predictions: NDArray[np.float32], min_positives: int
) -> ModelMetrics:
    """Metrics of `predictions` [N_test, T] on the test rows of `arrays`.

    Args:
        arrays: the training set.
        predictions: probabilities, in order of the test rows and the tasks.
        min_positives: rows with fewer positives, or fewer negatives, have no areas.
    """
    tasks = arrays.encoder.spec.tasks

    def on(rows: NDArray[Any]) -> dict[str, TaskMetrics]:
        return metrics_on(rows, arrays, predictions, min_positives)

    scenarios = {name: on(rows) for name, rows in scenario_rows(arrays).items()}
    return ModelMetrics(
        overall=on(np.arange(arrays.rows("test"))),
        macro_auc={task: _mean([own[task].auc for own in scenarios.values()]) for task in tasks},
        scenarios=scenarios,
    )


def scenario_rows(arrays: EncodedArrays) -> dict[str, NDArray[np.int64]]:
    """Test rows of each scenario that has any: positions by scenario id, most rows first."""
    scenario = arrays.column("scenario", "test")
    names = (UNSEEN_SCENARIO, *arrays.encoder.vocabularies[arrays.encoder.spec.scenario_table].values)
    counts = np.bincount(scenario, minlength=len(names))
    by_size = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    return {names[index]: np.flatnonzero(scenario == index) for index in by_size}


def metrics_on(
    rows: NDArray[Any], arrays: EncodedArrays, predictions: NDArray[np.float32], min_positives: int
) -> dict[str, TaskMetrics]:
    """Each task's metrics on some of the test rows.

    Args:
        rows: which of them, positions int [M].
        arrays: the training set.
        predictions: of all test rows, [N_test, T].
        min_positives: rows with fewer positives, or fewer negatives, have no areas.
    """
    labels, user, day = (arrays.column(name, "test")[rows] for name in ("labels", "user", "day"))
    user_day = pairs(user, day)
    return {
        task: _task_metrics(
            labels[:, position], predictions[rows, position], user, user_day,
            rate=rate, min_positives=min_positives,
        )
        for position, (task, rate) in enumerate(
            zip(arrays.encoder.spec.tasks, training_rates(arrays), strict=True)
        )
    }  # fmt: skip


def training_rates(arrays: EncodedArrays) -> NDArray[np.float64]:
    """Share of positives of each task among its labelled training rows, [T]; 0 where none is labelled."""
    labels = arrays.column("labels", "train")
    positives = np.nansum(labels, axis=0, dtype=np.float64)
    rates: NDArray[np.float64] = positives / np.maximum((~np.isnan(labels)).sum(axis=0), 1)
    return rates


def _task_metrics(
    labels: NDArray[Any],
    predictions: NDArray[Any],
    user: NDArray[Any],
    user_day: NDArray[Any],
    *,
    rate: float,
    min_positives: int,
) -> TaskMetrics:
    known = ~np.isnan(labels)
    labels, predictions = labels[known], predictions[known]
    positives = int(labels.sum())
    fewest = min(positives, len(labels) - positives)
    kind = "positives" if fewest == positives else "negatives"
    enough = fewest >= min_positives
    return TaskMetrics(
        rows=len(labels),
        positives=positives,
        auc=_rounded(auc(labels, predictions)) if enough else None,
        gauc=_rounded(gauc(labels, predictions, user_day[known])) if enough else None,
        gauc_user=_rounded(gauc(labels, predictions, user[known])) if enough else None,
        log_loss=_rounded(log_loss(labels, predictions)),
        constant_log_loss=_rounded(log_loss(labels, np.full(len(labels), rate))),
        calibration=_rounded(calibration(labels, predictions)),
        calibration_error=_rounded(calibration_error(labels, predictions)),
        reason=None if enough else f"{fewest} {kind}, fewer than {min_positives}",
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(float(np.mean(known))) if known else None


def _rounded(value: float | None) -> float | None:
    """Six digits: more than any test set can tell apart, and few enough to diff."""
    return None if value is None else round(value, 6)
