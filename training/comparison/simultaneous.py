"""Intervals of many differences that hold together, from one set of resamples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def simultaneous_intervals(
    values: NDArray[np.float64], under: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds that hold for all C values at once in `level` of all logs.

    Each value gets its own standard error, and all the same multiple of it: the quantile, over resamples, of
    the largest absolute deviation of any value in standard errors. Values that move together (a
    scenario is part of all rows, two tasks share their rows) then cost less than Bonferroni would take, and
    the quantile is one of the middle of the resamples, not of their last thousandth.

    Westfall and Young, Resampling-Based Multiple Testing (Wiley 1993), section 2.3; Romano and Wolf, Exact
    and Approximate Stepdown Methods for Multiple Hypothesis Testing (JASA 2005), section 3, in one step.

    Args:
        values: as the rows are, [C].
        under: under each resample, [R, C]; NaN where a resample has no answer, and is then left out.
        level: for example 0.95.

    Returns:
        Lower and upper bounds, [C] each. A value that no resample moves has bounds equal to it.
    """
    deviations = np.where(np.isnan(under), 0.0, under - values)
    known = np.maximum((~np.isnan(under)).sum(axis=0), 1)
    errors = np.sqrt((deviations**2).sum(axis=0) / known)
    moved = errors > 0.0
    largest = np.abs(deviations[:, moved] / errors[moved]).max(axis=1, initial=0.0)
    margins = np.quantile(largest, level) * errors
    return values - margins, values + margins
