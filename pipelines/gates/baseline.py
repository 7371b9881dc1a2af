"""Baselines: what the columns of a table look like in the training days, to hold later days against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from pipelines.days import DAY, Days
from pipelines.gates.drift import Distribution, chance, count, divide, null_share, psi
from pipelines.gates.watched import Watched, among, units, values


class ColumnBaseline(BaseModel):
    """One column in the training days.

    Attributes:
        distribution: its values.
        among: the count that is above zero in the rows that were counted; empty where all were.
        null_share: its share of nulls, 0 to 1; None without rows.
        usual_psi: the largest PSI of a stretch of these days against all of them. A stretch is as
            long as what will be judged, and has keys enough to be judged itself.
        usual_null_shift: the same of the share of nulls.
        whole_window: whether the feature's window lay within the log on these days.
        whole_reach: whether its view's longest window did.
    """

    model_config = ConfigDict(frozen=True)

    distribution: Distribution
    among: str = ""
    null_share: float | None
    usual_psi: float
    usual_null_shift: float
    whole_window: bool
    whole_reach: bool


class Baseline(BaseModel):
    """A table in the training days of a run. It carries no clock, so equal inputs give equal bytes.

    Attributes:
        table: for example "features/user_engagement".
        days: the training days.
        inputs: partition to content hash of what was counted.
        columns: column name to what it looks like.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    days: Days
    inputs: dict[str, str]
    columns: dict[str, ColumnBaseline]


def partition_name(table: str, ds: date | None) -> str:
    """A partition as manifests and baselines name their inputs: "features/user_profile", "events/ds=D"."""
    return f"{table}/ds={ds}" if ds else table


class Population:
    """The rows of a table in the training days.

    Args:
        days: the training days.
        first: the first day whose rows know a whole day of the log.
        stretch: how many days will be judged at once.
        rows_of: reads the rows of some of the days.
    """

    def __init__(self, days: Days, first: date, stretch: int, rows_of: Callable[[Days], pa.Table]) -> None:
        self.days = days
        self._first = first
        self._stretch = stretch
        self._rows_of = rows_of
        self._parts: dict[tuple[date, date, str], pa.Table] = {}
        self._units: dict[tuple[date, date, str, tuple[str, ...]], int] = {}

    def part(self, days: Days, count: str = "") -> pa.Table:
        """Rows of some of the days, or those of them in which a count is above zero."""
        key = (days.start, days.end, count)
        if key not in self._parts:
            self._parts[key] = among(self.part(days), count) if count else self._rows_of(days)
        return self._parts[key]

    def units(self, days: Days, watched: Watched) -> int:
        """How many keys the rows are about that a column is watched in."""
        key = (days.start, days.end, watched.among, watched.keys)
        if key not in self._units:
            self._units[key] = units(self.part(days, watched.among), watched.keys)
        return self._units[key]

    def whole(self, window: timedelta) -> Days | None:
        """The training days on which a window lies within the log; None where it never does."""
        start = max(self.days.start, self._first + DAY * max(-(-window // DAY) - 1, 0))
        return Days(start=start, end=self.days.end) if start <= self.days.end else None

    def stretches(self, days: Days) -> list[Days]:
        """Days cut, from the newest on, into as many as will be judged at once."""
        ends = (days.end - DAY * offset for offset in range(0, len(days), self._stretch))
        cut = [Days.ending(end, self._stretch) for end in ends]
        return [stretch for stretch in cut if stretch.start >= days.start]


def describe(population: Population, watched: Iterable[Watched]) -> dict[str, ColumnBaseline]:
    """What the watched columns look like; a column without a row on a whole window, on all days."""
    return {column.column: _describe(population, column) for column in watched}


def _describe(population: Population, watched: Watched) -> ColumnBaseline:
    if watched.instead is not None and population.whole(watched.window) is None:
        watched = watched.instead
    whole, reached = population.whole(watched.window), population.whole(watched.reach)
    days, null_days = whole or population.days, reached or population.days
    column = values(population.part(days, watched.among), watched)
    expected = count(column, divide(column), population.units(days, watched))
    share = null_share(population.part(null_days, watched.among)[watched.column])
    return ColumnBaseline(
        distribution=expected,
        among=watched.among,
        null_share=share,
        usual_psi=max(_stretch_psis(population, watched, expected, days), default=0.0),
        usual_null_shift=max(_stretch_shifts(population, watched, share, null_days), default=0.0),
        whole_window=whole is not None,
        whole_reach=reached is not None,
    )


def _stretch_psis(
    population: Population, watched: Watched, expected: Distribution, days: Days
) -> Iterator[float]:
    for stretch in population.stretches(days):
        column = values(population.part(stretch, watched.among), watched)
        actual = count(column, expected.bins, population.units(stretch, watched))
        found = psi(expected.counts, actual.counts)
        if found is not None and chance(expected, actual) <= watched.feature.max_psi:
            yield found


def _stretch_shifts(
    population: Population, watched: Watched, usual: float | None, days: Days
) -> Iterator[float]:
    for stretch in population.stretches(days):
        share = null_share(population.part(stretch, watched.among)[watched.column])
        if usual is not None and share is not None:
            yield abs(share - usual)
