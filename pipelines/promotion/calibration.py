"""Whether the challenger predicts as many positives as there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipelines.promotion.heldout import HeldOut
from pipelines.promotion.verdict import Calibration
from pipelines.settings import PromoteParams
from training.comparison.results import DIGITS
from training.metrics import calibration


def calibrations(rows: HeldOut, params: PromoteParams) -> Iterator[Calibration]:
    """Every task over all rows and in every scenario; judged where there are enough positives.

    A challenger outside the bounds passes all the same where it is no further outside than the champion:
    then it is the world that moved, and keeping the champion would not help.
    """
    for scenario, part in rows.parts():
        for position, task in enumerate(rows.tasks):
            own = rows.labelled(part, position)
            labels = rows.labels[own, position]
            positives = int(labels.sum())
            ratio = _ratio(labels, rows.challenger[own, position])
            champion = None if rows.champion is None else _ratio(labels, rows.champion[own, position])
            bound = params.calibration_bound(scenario)
            enough = positives >= params.min_calibration_positives
            yield Calibration(
                scenario=scenario,
                task=task,
                positives=positives,
                challenger=ratio,
                champion=champion,
                passed=not enough or _far(ratio) <= max(bound, _far(champion)),
                reason=None
                if enough
                else f"{positives} positives, fewer than {params.min_calibration_positives}",
            )


def _ratio(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> float | None:
    ratio = calibration(labels, scores)
    return None if ratio is None else round(ratio, DIGITS)


def _far(ratio: float | None) -> float:
    """How many times too much, or too little, is predicted; 1 is right."""
    if ratio is None:
        return 1.0
    return max(ratio, 1.0 / ratio) if ratio > 0.0 else np.inf
