"""A paired bootstrap over users: how far a difference of two contenders' AUC may be luck.

Rows of one user resemble each other, so whole users are drawn. Seeds are drawn too, the same ones for both
sides: the interval then holds the luck of training beside the luck of who came by on the test days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.comparison.results import DIGITS, Difference

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Resamples:
    """The draws, made once and used for every contender.

    Attributes:
        users: how often each user was drawn, int32 [R, U].
        seeds: how often each seed was drawn, int64 [R, S].
    """

    users: NDArray[np.int32]
    seeds: NDArray[np.int64]


def draw(users: int, seeds: int, resamples: int, seed: int) -> Resamples:
    """`resamples` times as many users as there are, and as many seeds, with replacement."""
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, users), dtype=np.int32)
    for row in counts:
        row[:] = np.bincount(rng.integers(users, size=users), minlength=users)
    drawn = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=resamples)
    return Resamples(counts, drawn)


class ResampledAUC:
    """The AUC of one task's rows under any counts of their users.

    Scores are sorted once. For each positive it is then known how many of the sorted negatives lie below it,
    and how many not above it; a resample costs a cumulative sum of the negatives' counts.

    Args:
        labels: 0 or 1, [N].
        scores: [N].
        user: number of each row's user, int [N].
    """

    def __init__(
        self, labels: NDArray[np.float32], scores: NDArray[np.float32], user: NDArray[np.int64]
    ) -> None:
        positive = labels > 0
        order = np.argsort(scores[~positive], kind="stable")
        negatives = scores[~positive][order]
        self._negative = user[~positive][order]
        self._positive = user[positive]
        self._below = np.searchsorted(negatives, scores[positive], side="left")
        self._not_above = np.searchsorted(negatives, scores[positive], side="right")

    def under(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """AUC under each row of `counts` [R, U], ties counted half, [R]; NaN where a class was not drawn."""
        return np.array([self._under(own) for own in counts])

    def _under(self, counts: NDArray[np.int32]) -> float:
        total = np.zeros(len(self._negative) + 1)
        np.cumsum(counts[self._negative], out=total[1:])
        weights = counts[self._positive]
        pairs = float(weights.sum()) * float(total[-1])
        wins = float(weights @ (total[self._below] + total[self._not_above])) / 2.0
        return wins / pairs if pairs > 0.0 else np.nan


def resampled_means(
    values: NDArray[np.float64], user: NDArray[np.int64], counts: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Mean of the rows' `values` [N] under each row of `counts` [R, U], [R]; NaN where no row was drawn.

    Args:
        values: of each row, [N].
        user: number of each row's user, int [N].
        counts: how often each user was drawn, [R, U].
    """
    present, own = np.unique(user, return_inverse=True)
    drawn = counts[:, present].astype(np.float64)
    rows = drawn @ np.bincount(own).astype(np.float64)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = (drawn @ np.bincount(own, values)) / rows
    return means


def resampled_areas(
    labels: NDArray[np.float32],
    predictions: Sequence[NDArray[np.float32]],
    user: NDArray[np.int64],
    resamples: Resamples,
) -> tuple[float, NDArray[np.float64]]:
    """A contender's AUC, the mean over its seeds, as it is and under each resample.

    Args:
        labels: of one task, [N], NaN where missing.
        predictions: of each seed, [N].
        user: number of each row's user, int [N].
        resamples: the draws.

    Returns:
        The AUC on the rows as they are, and [R].
    """
    known = ~np.isnan(labels)
    once = np.ones((1, resamples.users.shape[1]), dtype=np.int32)
    counts = np.concatenate([once, resamples.users])
    areas = np.stack(
        [ResampledAUC(labels[known], said[known], user[known]).under(counts) for said in predictions], axis=1
    )
    under = (areas[1:] * resamples.seeds).sum(axis=1) / resamples.seeds.sum(axis=1)
    return float(areas[0].mean()), under


def differences(
    areas: Mapping[str, tuple[float, NDArray[np.float64]]], base: str
) -> dict[str, Difference | None]:
    """Each other contender's AUC less that of `base`; None where the task's rows have one class only.

    Args:
        areas: what `resampled_areas` returned, by contender.
        base: whom the others are compared with.
    """
    own, own_under = areas[base]
    return {
        name: _difference(area - own, under - own_under)
        for name, (area, under) in areas.items()
        if name != base
    }


def _difference(difference: float, under: NDArray[np.float64]) -> Difference | None:
    drawn = under[~np.isnan(under)]
    if np.isnan(difference) or not len(drawn):
        return None
    low, high = np.quantile(drawn, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Difference(
        difference=round(difference, DIGITS), low=round(float(low), DIGITS), high=round(float(high), DIGITS)
    )
