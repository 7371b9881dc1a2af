"""SQL for DuckDB: names and text quoted, so that no name can be read as anything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """`value` as a SQL string."""
    return "'" + value.replace("'", "''") + "'"


def microseconds(column: str) -> str:
    """A time column as whole microseconds since 1970; naive times are UTC, as the connection is.

    A cast would round nanoseconds to the nearest microsecond, so to a later instant at times.
    """
    return f"epoch_ns({quoted(column)}) // 1000"


def listed(values: Iterable[str]) -> str:
    """`values`, already SQL, with commas between."""
    return ", ".join(values)


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own, in UTC."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def first_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The only row of an aggregate; DuckDB wants a result fetched to its end."""
    (row,) = connection.execute(query).fetchall()
    return tuple(row)
