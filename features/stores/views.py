"""What to join from a view, and whether a spine can take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from features.stores.errors import SpineError


@dataclass(frozen=True, slots=True)
class Column:
    """A feature to join.

    Attributes:
        name: its column in the table.
        output: its column in the result.
        sql_type: its DuckDB type, for files that were written before it was declared.
    """

    name: str
    output: str
    sql_type: str


@dataclass(frozen=True, slots=True)
class ViewColumns:
    """What to join from one view.

    Attributes:
        folder: the lake table.
        keys: the table's key column to the spine's column that holds it.
        columns: the features wanted.
        ttl: how old a row may be, the bound included; zero means any age.
        event_timestamp, created_timestamp: the table's time columns.
    """

    name: str
    folder: Path
    keys: dict[str, str]
    columns: tuple[Column, ...]
    ttl: timedelta
    event_timestamp: str
    created_timestamp: str

    @property
    def ttl_microseconds(self) -> int:
        return self.ttl // timedelta(microseconds=1)


def check_spine(columns: Sequence[str], views: Sequence[ViewColumns]) -> None:
    """Refuse a spine of `columns` that `views` cannot be joined to.

    Raises:
        SpineError: it lacks a key, or a feature would take the place of one of its columns.
    """
    has = f"it has {', '.join(columns)}"
    taken = set(columns)
    for view in views:
        for key in view.keys.values():
            if key not in columns:
                raise SpineError(f"the spine has no column {key!r}, a key of view {view.name}; {has}")
        for column in view.columns:
            if column.output in taken:
                raise SpineError(
                    f"feature {column.output!r} of view {view.name} would take the place of a column of that "
                    "name; ask for full feature names or rename the spine's column"
                )
            taken.add(column.output)
