"""Leaks: scores that rank the test rows better than the true probabilities do, so they know the labels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.datasets.truth import OVERALL, TrueRows, has_truth, true_rows
from pipelines.settings import Settings
from training.areas import auc_lead
from training.metrics import auc

LUCK = 4.0
"""Standard errors that a score may be above the limit: once in 30,000 for one as good as the truth."""
FEWEST = 30
"""With fewer positives, or fewer negatives, a standard error says too little."""


def find_leaks(settings: Settings, ds: date, predictions: NDArray[Any]) -> tuple[str, ...]:
    """Where `predictions` are above the limit by more than luck; nothing where no truth is known.

    Args:
        settings: of the run.
        ds: the last day of the run.
        predictions: [N, T], finite, in order of the test rows and the tasks.

    Raises:
        MissingPartitionError: see `true_rows`.
    """
    return tuple(_leaks(true_rows(settings, ds), predictions)) if has_truth(settings, ds) else ()


def _leaks(rows: TrueRows, predictions: NDArray[Any]) -> Iterator[str]:
    for scenario, part in rows.parts():
        for position, task in enumerate(rows.tasks):
            labels, scores = rows.labels[part, position], predictions[part, position]
            if np.bincount(labels, minlength=2).min() < FEWEST:
                continue
            lead, error = auc_lead(labels, scores, rows.probabilities[part, position])
            if lead > LUCK * error:
                yield (
                    f"AUC of {task} {'over all' if scenario == OVERALL else f'in {scenario}'} is "
                    f"{auc(labels, scores):.4f}, {lead:.4f} above that of the true probabilities, "
                    f"by more than {LUCK:g} standard errors: a feature knows the label"
                )
