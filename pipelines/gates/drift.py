"""Drift: how far the values of a column lie from those of a baseline, in one number.

The population stability index sums (p - q) ln(p / q) over bins, p and q being a bin's share of the
two samples: 0 for equal shares, and equal both ways (Siddiqi, Credit Risk Scorecards, 2006; it is
the symmetric Kullback-Leibler divergence, Jeffreys 1946). Nulls are in no bin; their share is
compared by itself. Everything here counts whole columns at once; no Python runs on a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nextafter, sqrt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

NUMBER_BINS = 10
HEAVY = 1.0 / NUMBER_BINS  # a value that so large a share of the rows has is a bin of its own
TOP_VALUES = 20
FLOOR = 1e-4  # the least share of a bin: an empty one would have an infinite logarithm
_UNLIKELY = 4.265  # standard deviations that a normal variable exceeds once in 100,000 draws
_INFINITY = float("inf")


class Bins(BaseModel):
    """How a column is divided: a number by edges, text by its most frequent values.

    Attributes:
        edges: ascending; bin i holds edges[i - 1] < x <= edges[i], the last one what is beyond. A
            value that many rows have stands alone between the number next below it and itself.
        values: bin i holds values[i], the last one the rest.
    """

    model_config = ConfigDict(frozen=True)

    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()

    def label(self, position: int) -> str:
        """A bin in words: "0", "above 3 up to 7", "other values"."""
        if self.values:
            return f'"{self.values[position]}"' if position < len(self.values) else "other values"
        low = self.edges[position - 1] if position else -_INFINITY
        high = self.edges[position] if position < len(self.edges) else _INFINITY
        if high == nextafter(low, _INFINITY):
            return f"{high + 0.0:g}"  # which turns -0 into 0
        bounds = [f"above {low:g}"] if position else []
        if position < len(self.edges):
            alone = nextafter(high, _INFINITY) + 0.0  # fenced in by this edge and the next, if it is one
            bounds.append(f"below {alone:g}" if alone in self.edges else f"up to {high:g}")
        return " ".join(bounds) or "any number"


class Distribution(BaseModel):
    """A column's values, counted; nulls are not among them.

    Attributes:
        bins: how they are divided.
        counts: rows of each bin.
        units: how many independent draws the rows are worth: the keys they are about.
    """

    model_config = ConfigDict(frozen=True)

    bins: Bins
    counts: tuple[int, ...]
    units: int


def null_share(column: pa.ChunkedArray) -> float | None:
    """Share of nulls in a column, 0 to 1, NaN counted as null; None without rows."""
    if len(column) == 0:
        return None
    if pa.types.is_floating(column.type):
        return float(pc.sum(pc.is_null(column, nan_is_null=True)).as_py() / len(column))
    return int(column.null_count) / len(column)


def divide(column: pa.ChunkedArray) -> Bins:
    """Bins of a column of numbers or text; numbers fall into about ten of equal size."""
    if _is_text(column.type):
        counts = _value_counts(column)
        top = sorted(counts, key=lambda value: (-counts[value], value))[:TOP_VALUES]
        return Bins(values=tuple(top))
    return Bins(edges=_edges(_numbers(column)))


def count(column: pa.ChunkedArray, bins: Bins, units: int) -> Distribution:
    """Count a column's values by bins made of another column, or of the same one."""
    if _is_text(column.type):
        found = _value_counts(column)
        named = [found.pop(value, 0) for value in bins.values]
        return Distribution(bins=bins, counts=(*named, sum(found.values())), units=units)
    places = np.searchsorted(np.array(bins.edges), _numbers(column), side="left")
    counted = np.bincount(places, minlength=len(bins.edges) + 1)
    return Distribution(bins=bins, counts=tuple(int(number) for number in counted), units=units)


def psi(expected: Sequence[int], actual: Sequence[int]) -> float | None:
    """Population stability index of two samples counted by the same bins; None where one is empty."""
    if not sum(expected) or not sum(actual):
        return None
    q, p = _shares(expected), _shares(actual)
    return float(np.sum((p - q) * np.log(p / q)))


def chance(expected: Distribution, actual: Distribution) -> float:
    """The PSI that two samples of one distribution exceed once in 100,000 times.

    It is (1/n + 1/m) times a chi-squared variable with a degree of freedom for all bins in use but
    one (Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of
    Risk Model Validation, 2020), whose quantile is Wilson and Hilferty's. n and m are units, not
    rows: the thousand rows of one user know his features once.
    """
    if not expected.units or not actual.units:
        return _INFINITY
    used = sum(1 for pair in zip(expected.counts, actual.counts, strict=True) if any(pair))
    freedom = max(used - 1, 1)
    spread = 2.0 / (9.0 * freedom)
    quantile = freedom * (1.0 - spread + _UNLIKELY * sqrt(spread)) ** 3
    return quantile * (1.0 / expected.units + 1.0 / actual.units)


def null_chance(share: float, expected_units: int, actual_units: int) -> float:
    """The difference that two samples' null shares exceed once in 100,000 times, `share` being the usual.

    The usual share is taken as known from that many units and two more, one of them null: a null
    that was never seen is not impossible.
    """
    if not expected_units or not actual_units:
        return _INFINITY
    known = (share * expected_units + 1.0) / (expected_units + 2.0)
    return _UNLIKELY * sqrt(known * (1.0 - known) * (1.0 / expected_units + 1.0 / actual_units))


def largest_shift(expected: Distribution, actual: Distribution) -> str:
    """In words, the bin that adds most to the PSI: "the share of 0 went from 12% to 71%"."""
    q, p = _shares(expected.counts), _shares(actual.counts)
    position = int(np.argmax((p - q) * np.log(p / q)))
    before, after = (counts[position] / sum(counts) for counts in (expected.counts, actual.counts))
    return f"the share of {expected.bins.label(position)} went from {percent(before)} to {percent(after)}"


def percent(share: float) -> str:
    """A share as people read it: whole percents, but two digits more near 0 and 1."""
    return f"{share:.0%}" if share in (0.0, 1.0) or 0.01 <= share <= 0.99 else f"{share:.2%}"


def _shares(counts: Sequence[int]) -> NDArray[np.float64]:
    shares = np.asarray(counts, np.float64) / sum(counts)
    return np.maximum(shares, FLOOR)


def _edges(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    """Deciles without repetition, a heavy value fenced in between the number below it and itself."""
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return ()
    levels = np.arange(1, NUMBER_BINS + 1) / NUMBER_BINS
    deciles = np.unique(np.quantile(finite, levels, method="inverted_cdf"))
    edges = {float(edge) for edge in deciles[:-1]}
    for value in deciles:
        if np.count_nonzero(finite == value) >= HEAVY * len(finite):
            edges |= {nextafter(float(value), -_INFINITY), float(value)}
    return tuple(sorted(edges))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The values there are."""
    numbers: NDArray[np.float64] = column.cast(pa.float64()).drop_null().to_numpy()
    return numbers[~np.isnan(numbers)]


def _value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    counted = pc.value_counts(column.drop_null())
    values, counts = counted.field("values"), counted.field("counts")
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return dict(zip(values.to_pylist(), counts.to_pylist(), strict=True))


def _is_text(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_string(dtype) or pa.types.is_dictionary(dtype))
