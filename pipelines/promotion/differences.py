"""Differences of challenger and champion by scenario and task, and how far they may be luck.

Users are drawn, the same ones for both models: rows of one user resemble each other. docs/promotion.md says
what blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.promotion.heldout import HeldOut
from pipelines.promotion.verdict import Difference
from pipelines.settings import PromoteParams
from training.comparison.bootstrap import ResampledAUC, draw, resampled_means
from training.comparison.results import DIGITS
from training.comparison.simultaneous import simultaneous_intervals
from training.metrics import log_losses

_SEED = 0


@dataclass(frozen=True, slots=True)
class _Slice:
    """One task on its M labelled rows of one scenario, with both models' probabilities, [M] each."""

    scenario: str | None
    task: str
    user: NDArray[np.int64]
    labels: NDArray[np.float32]
    champion: NDArray[np.float32]
    challenger: NDArray[np.float32]

    @property
    def users(self) -> int:
        return len(np.unique(self.user))

    @property
    def fewest(self) -> int:
        """Users with a positive, or with a negative, whichever are fewer."""
        return min(len(np.unique(self.user[of_class])) for of_class in (self.labels > 0, self.labels <= 0))


@dataclass(frozen=True, slots=True)
class _Gain:
    """How much better the challenger is on a slice, as it is and under each of R resamples.

    Attributes:
        metric: what is compared.
        champion, challenger: the metric of each.
        value: the gain, positive where the challenger is better.
        under: [R].
        tolerance: how far below 0 the gain may lie.
    """

    metric: Literal["auc", "log_loss"]
    champion: float
    challenger: float
    value: float
    under: NDArray[np.float64]
    tolerance: float


def paired_differences(rows: HeldOut, params: PromoteParams, target: str) -> tuple[Difference, ...]:
    """Every task over all rows and in every scenario; nothing without a scored champion.

    The target over all rows comes first and has an interval of its own. All others share simultaneous
    intervals, so that many scenarios do not make a chance finding likely.
    """
    if rows.champion is None:
        return ()
    counts = draw(rows.users, 1, params.resamples, _SEED).users
    first, others, few = list[tuple[_Slice, _Gain]](), list[tuple[_Slice, _Gain]](), list[_Slice]()
    for own in _slices(rows, rows.champion):
        if own.users < params.min_users:
            few.append(own)
        elif own.scenario is None and own.task == target:
            first.append((own, _gain(own, counts, params, params.max_target_drop)))
        else:
            others.append((own, _gain(own, counts, params, params.max_auc_drop)))
    return (
        *_judged(first, params.level),
        *_judged(others, params.level),
        *(_unjudged(own, params.min_users) for own in few),
    )


def _slices(rows: HeldOut, champion: NDArray[np.float32]) -> Iterator[_Slice]:
    for scenario, part in rows.parts():
        for position, task in enumerate(rows.tasks):
            own = rows.labelled(part, position)
            yield _Slice(
                scenario,
                task,
                user=rows.user[own],
                labels=rows.labels[own, position],
                champion=champion[own, position],
                challenger=rows.challenger[own, position],
            )


def _gain(own: _Slice, counts: NDArray[np.int32], params: PromoteParams, max_auc_drop: float) -> _Gain:
    """By AUC, or where it would rest on too few users, by log loss."""
    if own.fewest < params.min_users:
        return _log_loss_gain(own, counts, params.max_log_loss_rise)
    once = np.ones((1, counts.shape[1]), dtype=np.int32)
    drawn = np.concatenate([once, counts])
    before, after = (
        ResampledAUC(own.labels, scores, own.user).under(drawn) for scores in (own.champion, own.challenger)
    )
    gain = after - before
    return _Gain("auc", float(before[0]), float(after[0]), float(gain[0]), gain[1:], max_auc_drop)


def _log_loss_gain(own: _Slice, counts: NDArray[np.int32], max_rise: float) -> _Gain:
    before, after = (log_losses(own.labels, scores) for scores in (own.champion, own.challenger))
    return _Gain(
        "log_loss",
        champion=float(before.mean()),
        challenger=float(after.mean()),
        value=float((before - after).mean()),
        under=resampled_means(before - after, own.user, counts),
        tolerance=max_rise * float(before.mean()),
    )


def _judged(family: Sequence[tuple[_Slice, _Gain]], level: float) -> Iterator[Difference]:
    """Differences whose intervals hold together."""
    if not family:
        return
    gains = [gain for _, gain in family]
    bounds = simultaneous_intervals(
        np.array([gain.value for gain in gains]), np.stack([gain.under for gain in gains], axis=1), level
    )
    for (own, gain), low, high in zip(family, *bounds, strict=True):
        highest, tolerance = round(float(high), DIGITS), round(gain.tolerance, DIGITS)
        yield Difference(
            scenario=own.scenario,
            task=own.task,
            metric=gain.metric,
            rows=len(own.labels),
            positives=int(own.labels.sum()),
            users=own.users,
            champion=round(gain.champion, DIGITS),
            challenger=round(gain.challenger, DIGITS),
            gain=round(gain.value, DIGITS),
            low=round(float(low), DIGITS),
            high=highest,
            tolerance=tolerance,
            passed=highest >= -tolerance,
        )


def _unjudged(own: _Slice, min_users: int) -> Difference:
    return Difference(
        scenario=own.scenario,
        task=own.task,
        metric="log_loss",
        rows=len(own.labels),
        positives=int(own.labels.sum()),
        users=own.users,
        passed=True,
        reason=f"{own.users} users, fewer than {min_users}",
    )
