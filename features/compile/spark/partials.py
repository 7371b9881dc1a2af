"""Partials: the mergeable parts of features, which tiles hold.

Every partial is folded by an operation that does not depend on order, so that equal events give
equal bytes however Spark splits them: whole numbers are summed, never floats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from pyspark.sql import Column
from pyspark.sql import functions as sf
from pyspark.sql.types import DataType

from features.declarations.windows import label


@dataclass(frozen=True, slots=True)
class Partial:
    """One column of a group's tiles.

    Attributes:
        name: the column.
        dtype: its type.
        row: its value of a single event, null where the event does not count.
        fold: aggregate that merges values of tiles; nulls are passed over.
        join: merges two folded values, null being none at all.
        gather: aggregate of the rows' values to a tile's; None where `fold` is that as well.
        nothing: what no values fold to; None for null.
        once: rows of equal values count once, and `gather` must be given one of them only.
    """

    name: str
    dtype: DataType
    row: Column
    fold: Callable[[Column], Column]
    join: Callable[[Column, Column], Column]
    gather: Callable[[Column], Column] | None = None
    nothing: Column | None = None
    once: bool = False

    def gathered(self, rows: Column) -> Column:
        """The aggregate of events' values, null where there are none."""
        return (self.gather or self.fold)(rows)

    def tiled(self, rows: Column) -> Column:
        """The aggregate of events' values, `nothing` where there are none."""
        return self._filled(self.gathered(rows))

    def folded(self, values: Column) -> Column:
        """The aggregate of tiles' values, `nothing` where there are none."""
        return self._filled(self.fold(values))

    def joined(self, one: Column, other: Column) -> Column:
        """The merge of two folded values, either of which may be null."""
        return self.join(self._filled(one), self._filled(other))

    def _filled(self, value: Column) -> Column:
        return value if self.nothing is None else sf.coalesce(value, self.nothing)


def windowed(name: str, window: timedelta) -> str:
    """The column that holds a partial folded over a window."""
    return f"{name}__{label(window)}"
