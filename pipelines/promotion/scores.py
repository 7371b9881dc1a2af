"""Whether the challenger's scores look like probabilities that a ranking can be made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipelines.gates.drift import psi
from pipelines.promotion.heldout import HeldOut
from pipelines.promotion.verdict import Scores
from pipelines.settings import PromoteParams
from training.comparison.results import DIGITS

BINS = 10
SATURATED = 1e-6
"""This near 0 or 1, scores of single precision can hardly be told apart any more."""


def score_distributions(rows: HeldOut, params: PromoteParams) -> Iterator[Scores]:
    """The distribution of each task's scores over all rows, labelled or not."""
    for position, task in enumerate(rows.tasks):
        scores = rows.challenger[:, position]
        if not np.isfinite(scores).all():
            yield Scores(task=task, lowest=None, highest=None, saturated=None, psi=None, passed=False)
            continue
        lowest, highest = float(scores.min()), float(scores.max())
        saturated = round(float(((scores <= SATURATED) | (scores >= 1.0 - SATURATED)).mean()), DIGITS)
        index = None if rows.champion is None else score_psi(rows.champion[:, position], scores)
        yield Scores(
            task=task,
            lowest=round(lowest, DIGITS),
            highest=round(highest, DIGITS),
            saturated=saturated,
            psi=index,
            passed=lowest < highest
            and saturated <= params.max_saturated
            and (index is None or index <= params.max_psi),
        )


def score_psi(champion: NDArray[np.float32], challenger: NDArray[np.float32]) -> float | None:
    """Population stability index of the challenger's scores, in bins of a tenth of the champion's each."""
    edges = np.unique(np.quantile(champion, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    counts = [
        [int(n) for n in np.bincount(np.searchsorted(edges, scores, side="left"), minlength=len(edges) + 1)]
        for scores in (champion, challenger)
    ]
    index = psi(*counts)
    return None if index is None else round(index, DIGITS)
