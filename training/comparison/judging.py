"""Judging: from every contender's predictions of the test rows to figures, spreads and intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from training.comparison.bootstrap import differences, draw, resampled_areas
from training.comparison.results import DIGITS, ContenderResult, Difference, Spread, TaskResult, Trial
from training.comparison.slices import newcomers
from training.comparison.tuning import Finished
from training.data.arrays import EncodedArrays
from training.evaluation import TaskMetrics, evaluate_predictions, metrics_on


def judge_all(
    finished: Mapping[str, Finished],
    predictions: Mapping[str, Sequence[NDArray[np.float32]]],
    arrays: EncodedArrays,
    *,
    bases: Iterable[str],
    resamples: int,
    min_positives: int,
) -> dict[str, ContenderResult]:
    """The figures of all contenders.

    Args:
        finished: the contenders' courses.
        predictions: of each, probabilities of the test rows for each seed, [N_test, T].
        arrays: the training set.
        bases: contenders that all others are compared with.
        resamples: of the bootstrap.
        min_positives: rows with fewer positives, or fewer negatives, have no areas.
    """
    against = paired_differences(predictions, arrays, bases=bases, resamples=resamples)
    return {
        name: _judged(own, predictions[name], arrays, against[name], min_positives)
        for name, own in finished.items()
    }


def paired_differences(
    predictions: Mapping[str, Sequence[NDArray[np.float32]]],
    arrays: EncodedArrays,
    *,
    bases: Iterable[str],
    resamples: int,
) -> dict[str, dict[str, dict[str, Difference | None]]]:
    """AUC of each contender less that of each base: by contender, then base, then task."""
    _, user = np.unique(arrays.column("user", "test"), return_inverse=True)
    labels = arrays.column("labels", "test")
    seeds = len(next(iter(predictions.values())))
    draws = draw(int(user.max()) + 1, seeds, resamples, seed=0)
    against: dict[str, dict[str, dict[str, Difference | None]]] = {name: {} for name in predictions}
    for position, task in enumerate(arrays.encoder.spec.tasks):
        areas = {
            name: resampled_areas(labels[:, position], [said[:, position] for said in own], user, draws)
            for name, own in predictions.items()
        }
        for base in bases:
            for name, difference in differences(areas, base).items():
                against[name].setdefault(base, {})[task] = difference
    return against


def _judged(
    finished: Finished,
    predictions: Sequence[NDArray[np.float32]],
    arrays: EncodedArrays,
    against: dict[str, dict[str, Difference | None]],
    min_positives: int,
) -> ContenderResult:
    metrics = [evaluate_predictions(arrays, said, min_positives) for said in predictions]
    slices = {
        name: [metrics_on(rows, arrays, said, min_positives) for said in predictions]
        for name, rows in newcomers(arrays).items()
    }
    first, fits = metrics[0], finished.outcomes
    return ContenderResult(
        trials=tuple(
            Trial(values=trial.values, validation_loss=trial.validation_loss) for trial in finished.trials
        ),
        confirmation=(
            finished.confirmation
            and tuple(loss if isfinite(loss) else None for loss in finished.confirmation)
        ),
        values=fits[0].values,
        overall=_by_task([seed.overall for seed in metrics]),
        macro_auc={task: _spread([seed.macro_auc[task] for seed in metrics]) for task in first.macro_auc},
        scenarios={name: _by_task([seed.scenarios[name] for seed in metrics]) for name in first.scenarios},
        slices={name: _by_task(seeds) for name, seeds in slices.items()},
        against=against,
        parameters=round(fmean(fit.parameters or 0 for fit in fits)),
        flops_per_row=fits[0].flops_per_row,
        seconds=_spread_of([fit.seconds for fit in fits]),
    )


def _by_task(seeds: Sequence[Mapping[str, TaskMetrics]]) -> dict[str, TaskResult]:
    return {
        task: TaskResult(
            rows=first.rows,
            positives=first.positives,
            auc=_spread([seed[task].auc for seed in seeds]),
            gauc=_spread([seed[task].gauc for seed in seeds]),
            log_loss=_spread([seed[task].log_loss for seed in seeds]),
            calibration_error=_spread([seed[task].calibration_error for seed in seeds]),
        )
        for task, first in seeds[0].items()
    }


def _spread(values: Sequence[float | None]) -> Spread | None:
    """Over the seeds; None where the rows have no answer, which no seed changes."""
    known = [value for value in values if value is not None]
    return _spread_of(known) if known else None


def _spread_of(values: Sequence[float]) -> Spread:
    sd = round(stdev(values), DIGITS) if len(values) > 1 else None
    return Spread(mean=round(fmean(values), DIGITS), sd=sd)
