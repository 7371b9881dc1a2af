"""DuckDB: a connection, and SQL whose names and text are quoted, so that none reads as anything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

MEMORY_LIMIT = "2GB"  # what a query holds in memory; tables and sorts beyond it go to a temporary folder


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """`value` as a SQL string."""
    return "'" + value.replace("'", "''") + "'"


def microseconds(column: str, sql_type: str) -> str:
    """A time column as whole microseconds since 1970; naive times are UTC, as the connection is.

    A cast would round nanoseconds to the nearest microsecond, so to a later instant at times.
    """
    if sql_type.endswith("_NS"):
        return f"epoch_ns({quoted(column)}) // 1000"
    return f"epoch_us({quoted(column)})"


def listed(values: Iterable[str]) -> str:
    """`values`, already SQL, with commas between."""
    return ", ".join(values)


@contextmanager
def connect(memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, in UTC."""
    with TemporaryDirectory(prefix="gatehouse-duckdb-") as folder, closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = {text(memory_limit)}")
        connection.execute(f"SET temp_directory = {text(folder)}")
        yield connection


def column_types(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Name to DuckDB type of a relation's columns, in order."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {name: kind for name, kind, *_ in rows}


def first_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The only row of an aggregate; DuckDB wants a result fetched to its end."""
    (row,) = connection.execute(query).fetchall()
    return tuple(row)
