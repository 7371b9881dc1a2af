"""Ranking and calibration metrics on NumPy arrays, by rank statistics, without loops over groups.

All take labels of 0 and 1 without NaN, and are None where the question has no answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-7
"""Probabilities are clipped this far from 0 and 1: one certain mistake costs 16 nats, not infinity."""


def auc(labels: NDArray[Any], scores: NDArray[Any]) -> float | None:
    """Area under the ROC curve, ties counted half; None without both classes."""
    return gauc(labels, scores, np.zeros(len(labels), dtype=np.int64))


def gauc(labels: NDArray[Any], scores: NDArray[Any], groups: NDArray[Any]) -> float | None:
    """Mean AUC of the groups that have both classes, weighted by their rows; None if none has.

    Zhou et al., Deep Interest Network (KDD 2018), eq. 7.

    Args:
        labels: [N] of 0 and 1.
        scores: [N], higher means likelier.
        groups: integers [N], for example the user of each row.
    """
    if len(labels) == 0:
        return None
    order = np.lexsort((scores, groups))
    group, score, positive = groups[order], scores[order], labels[order] > 0
    new_group = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    new_run = np.flatnonzero(np.r_[True, (group[1:] != group[:-1]) | (score[1:] != score[:-1])])
    sizes = np.diff(np.r_[new_group, len(group)])
    runs = np.diff(np.r_[new_run, len(group)])
    # The rank of a run of ties is the mean of its rows' ranks, counted from 1 within the group.
    first = new_run - np.repeat(new_group, sizes)[new_run]
    ranks = np.repeat(first + (runs + 1) / 2.0, runs)
    positives = np.add.reduceat(positive, new_group, dtype=np.int64)
    negatives = sizes - positives
    rank_sums = np.add.reduceat(np.where(positive, ranks, 0.0), new_group)
    both = (positives > 0) & (negatives > 0)
    if not both.any():
        return None
    wins = rank_sums[both] - positives[both] * (positives[both] + 1) / 2.0
    areas = wins / (positives[both] * negatives[both])
    return float(np.average(areas, weights=sizes[both]))


def pairs(*keys: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each distinct combination of integer keys, int64 [N]; for example (user, day)."""
    _, numbers = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    return np.asarray(numbers, dtype=np.int64).reshape(-1)


def log_loss(labels: NDArray[Any], probabilities: NDArray[Any]) -> float | None:
    """Mean negative log-likelihood in nats; None without rows."""
    return float(log_losses(labels, probabilities).mean()) if len(labels) else None


def log_losses(labels: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Negative log-likelihood of each row in nats, [N]."""
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), EPSILON, 1.0 - EPSILON)
    losses: NDArray[np.float64] = -np.where(labels > 0, np.log(clipped), np.log1p(-clipped))
    return losses


def calibration(labels: NDArray[Any], probabilities: NDArray[Any]) -> float | None:
    """Sum of probabilities over number of positives, 1 is best; None without a positive."""
    positives = float(np.sum(labels, dtype=np.float64))
    return float(np.sum(probabilities, dtype=np.float64)) / positives if positives > 0 else None


def calibration_error(labels: NDArray[Any], probabilities: NDArray[Any], bins: int = 10) -> float | None:
    """Expected calibration error over bins of equal mass; None without rows.

    Equal probabilities share a bin, so the order of rows does not matter.
    """
    if len(labels) == 0:
        return None
    values = np.asarray(probabilities, dtype=np.float64)
    inner = np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf")
    bin_of = np.searchsorted(inner, values, side="left")
    gaps = np.bincount(bin_of, values, bins) - np.bincount(bin_of, labels, bins)
    return float(np.abs(gaps).sum() / len(values))
