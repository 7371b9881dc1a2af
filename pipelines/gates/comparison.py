"""Comparison: a partition against a baseline, feature by feature, and which differences count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from pipelines.gates.baseline import Baseline, ColumnBaseline
from pipelines.gates.drift import chance, count, largest_shift, null_chance, null_share, percent, psi
from pipelines.gates.watched import Watched, among, units, values

# Days that shift up to twice as far as the training days do among themselves are as usual. A share
# shifts in proportion, the index by the square.
TWICE, TWICE_SQUARED = 2.0, 4.0


class Comparison(BaseModel):
    """One feature of a partition against its baseline.

    Attributes:
        column: the feature's column.
        psi: its index; None where there is nothing to compare.
        max_psi: above it the partition is stopped.
        unjudged: why it is not, whatever the index; empty where it is judged.
        shift: the largest change of a bin's share, in words.
        null_share, usual_null_share: share of nulls in the partition and in the training days.
        max_null_shift: if they differ by more, the partition is stopped.
        nulls_unjudged: why it is not; empty where it is judged.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    psi: float | None
    max_psi: float
    unjudged: str = ""
    shift: str = ""
    null_share: float | None
    usual_null_share: float | None
    max_null_shift: float
    nulls_unjudged: str = ""

    @property
    def null_shift(self) -> float | None:
        """How far the share of nulls moved, up or down."""
        if self.null_share is None or self.usual_null_share is None:
            return None
        return abs(self.null_share - self.usual_null_share)

    @property
    def drifted(self) -> bool:
        """Whether a difference that is judged is too large."""
        return (not self.unjudged and (self.psi or 0.0) > self.max_psi) or (
            not self.nulls_unjudged and (self.null_shift or 0.0) > self.max_null_shift
        )

    @property
    def null_words(self) -> str:
        """The change of the share of nulls, in words."""
        return f"nulls went from {percent(self.usual_null_share or 0.0)} to {percent(self.null_share or 0.0)}"


class Drift(BaseModel):
    """What came of comparing a partition.

    Attributes:
        baseline: the training days it was compared with; empty where there was nothing to compare with.
        note: why there was not.
        features: each feature.
    """

    model_config = ConfigDict(frozen=True)

    baseline: str = ""
    note: str = ""
    features: tuple[Comparison, ...] = ()

    @property
    def indices(self) -> tuple[str, ...]:
        """Columns whose index is judged."""
        return tuple(feature.column for feature in self.features if not feature.unjudged)

    @property
    def null_shifts(self) -> tuple[str, ...]:
        """Columns whose share of nulls is judged."""
        return tuple(feature.column for feature in self.features if not feature.nulls_unjudged)


def compare(baseline: Baseline, watched: Iterable[Watched], rows: pa.Table) -> Drift:
    """Compare rows, lists by their lengths, with a baseline."""
    return Drift(baseline=str(baseline.days), features=tuple(_compared(baseline, watched, rows)))


def _compared(baseline: Baseline, watched: Iterable[Watched], rows: pa.Table) -> Iterator[Comparison]:
    parts: dict[str, pa.Table] = {"": rows}
    keys: dict[tuple[str, tuple[str, ...]], int] = {}
    for column in watched:
        known = baseline.columns.get(column.column)
        if known is not None and known.among and column.instead is not None:
            column = column.instead
        if known is None or known.among != column.among:  # of another declaration than the baseline
            continue
        if column.among not in parts:
            parts[column.among] = among(rows, column.among)
        part, key = parts[column.among], (column.among, column.keys)
        if key not in keys:
            keys[key] = units(part, column.keys)
        yield _compare(known, column, part, keys[key])


def _compare(known: ColumnBaseline, watched: Watched, rows: pa.Table, keys: int) -> Comparison:
    expected, feature = known.distribution, watched.feature
    actual = count(values(rows, watched), expected.bins, keys)
    found = psi(expected.counts, actual.counts)
    share = null_share(rows[watched.column])
    moved = None if share is None or known.null_share is None else abs(share - known.null_share)
    likely = null_chance(known.null_share or 0.0, expected.units, keys)
    fewest = min(expected.units, keys)
    few = f"{fewest} {'key' if fewest == 1 else 'keys'} may differ that much by chance"
    filling = "a window reaches back before the log"
    usual = "the training days differ as much among themselves"
    return Comparison(
        column=watched.column,
        psi=found,
        max_psi=feature.max_psi,
        unjudged=_first(
            (found is None, "there are no values to compare"),
            (not known.whole_window, filling),
            (chance(expected, actual) > feature.max_psi, few),
            (feature.max_psi < (found or 0.0) <= TWICE_SQUARED * known.usual_psi, usual),
        ),
        shift="" if found is None else largest_shift(expected, actual),
        null_share=share,
        usual_null_share=known.null_share,
        max_null_shift=feature.max_null_shift,
        nulls_unjudged=_first(
            (moved is None, "there are no rows to compare"),
            (not known.whole_reach, filling),
            (likely > feature.max_null_shift, few),
            (feature.max_null_shift < (moved or 0.0) <= TWICE * known.usual_null_shift, usual),
        ),
    )


def _first(*reasons: tuple[bool, str]) -> str:
    return next((words for holds, words in reasons if holds), "")
