"""What an area under the ROC curve may be by luck: its expectation, and the error of a difference.

Sorting only, no loops over pairs: O(N log N) for N rows.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray


def expected_auc(probabilities: NDArray[Any]) -> float | None:
    """The AUC that `probabilities` are expected to have where they are true; None with fewer than two rows.

    Of all pairs of rows, each with the chance that the first is a positive and the second a negative,
    the share that is in order: sum of p_i (1 - p_j) over p_i > p_j, ties half, over the sum of all i != j.
    That is a quotient of two expectations, which differs from the expected quotient by O(1 / N).

    Args:
        probabilities: [N], the chance that each row's label is 1; the labels are drawn independently.
    """
    values, group = np.unique(np.asarray(probabilities, dtype=np.float64), return_inverse=True)
    sizes = np.bincount(group, minlength=len(values))
    positive, negative = sizes * values, sizes * (1.0 - values)
    # A row is no pair with itself.
    tied = positive * negative - sizes * values * (1.0 - values)
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum() - float(np.sum(sizes * values * (1.0 - values)))
    return float((positive @ below + tied.sum() / 2.0) / pairs) if pairs > 0.0 else None


def auc_lead(labels: NDArray[Any], scores: NDArray[Any], others: NDArray[Any]) -> tuple[float, float]:
    """By how much the AUC of `scores` exceeds that of `others` on the same rows, and its standard error.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988, section 3. There must be at least two positives
    and two negatives.

    Args:
        labels: [N] of 0 and 1.
        scores: [N], higher means likelier.
        others: [N], what to compare with.
    """
    positive = labels > 0
    of_positives, of_negatives = (
        own - other
        for own, other in zip(_placements(positive, scores), _placements(positive, others), strict=True)
    )
    variance = of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives)
    return float(of_positives.mean()), sqrt(variance)


def _placements(
    positive: NDArray[np.bool_], scores: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of negatives below each positive, and of positives above each negative; ties count half."""
    ranks = _ranks(scores)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    below = (ranks[positive] - _ranks(scores[positive])) / negatives
    above = 1.0 - (ranks[~positive] - _ranks(scores[~positive])) / positives
    return below, above


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(sizes) - (sizes - 1) / 2.0)[group]
    return ranks
