"""The verdict on a challenger: the numbers of every bound, and what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.errors import SettingsError
from pipelines.promotion import reasons
from pipelines.promotion.calibration import calibrations
from pipelines.promotion.differences import paired_differences
from pipelines.promotion.heldout import HeldOut
from pipelines.promotion.scores import score_distributions
from pipelines.promotion.verdict import Calibration, Champion, Difference, Promotion, Scores
from pipelines.settings import PromoteParams
from training.evaluation import ModelMetrics


@dataclass(frozen=True, slots=True)
class Challenger:
    """Who is judged, and on what.

    Attributes:
        dataset, ds, model, hashes, data: see `Promotion`.
        metrics: what evaluate measured of it.
        leaks: where it is better than is possible, in words; only the simulated log tells.
        quick: whether it scores a list within the budget.
    """

    dataset: str
    ds: str
    model: str
    hashes: str
    data: str
    metrics: ModelMetrics
    leaks: Sequence[str]
    quick: bool


def judge(
    challenger: Challenger, champion: Champion | None, rows: HeldOut, params: PromoteParams
) -> Promotion:
    """Hold every bound of `promote` in params.yaml.

    Raises:
        SettingsError: the target is no task of the run.
    """
    target = params.target or rows.tasks[0]
    if target not in rows.tasks:
        raise SettingsError(f"promote.target {target!r} is not a task; choose from {', '.join(rows.tasks)}")
    scores = tuple(score_distributions(rows, params))
    differences, ratios = tuple[Difference, ...](), tuple[Calibration, ...]()
    if np.isfinite(rows.challenger).all():  # metrics of NaN would be NaN
        differences = paired_differences(rows, params, target)
        ratios = tuple(calibrations(rows, params))
    against = _against(challenger, champion, differences, ratios, scores, target, params)
    return Promotion(
        dataset=challenger.dataset,
        ds=challenger.ds,
        model=challenger.model,
        hashes=challenger.hashes,
        data=challenger.data,
        champion=champion,
        target=target,
        bounds=params,
        users=rows.users,
        differences=differences,
        calibrations=ratios,
        scores=scores,
        quick=challenger.quick,
        reasons=against,
        passed=not against,
    )


def _against(
    challenger: Challenger,
    champion: Champion | None,
    differences: Sequence[Difference],
    ratios: Sequence[Calibration],
    scores: Sequence[Scores],
    target: str,
    params: PromoteParams,
) -> tuple[str, ...]:
    return (
        *challenger.leaks,
        *reasons.of_constant(challenger.metrics),
        *reasons.of_differences(differences, champion, target, params.level),
        *reasons.of_calibrations(ratios, params),
        *reasons.of_scores(scores, params),
        *reasons.of_latency(challenger.quick, params),
    )
