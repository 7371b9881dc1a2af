"""The spine: the rows that features are joined to, each at its own instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.stores.errors import SpineError
from features.stores.sql import column_types, first_row, quoted, text

SpineLike: TypeAlias = pd.DataFrame | pa.Table | str | Path
Batches: TypeAlias = Callable[[int], Iterator[pa.Table]]  # tables of at most so many rows, in order
EVENT_TIMESTAMP = "event_timestamp"


@dataclass(frozen=True, slots=True)
class Spine:
    """A spine that DuckDB can read any column of, at no copy where it lies in memory or in a file.

    Attributes:
        relation: SQL for its columns, and its row number in `__row`.
        types: its own columns, in order, and their DuckDB types.
        timestamp: the column that holds the instant of each row.
        batches: its own columns as tables of at most so many rows, in order, at least one.
    """

    relation: str
    types: dict[str, str]
    timestamp: str
    batches: Batches

    @property
    def columns(self) -> list[str]:
        return list(self.types)


def load_spine(connection: duckdb.DuckDBPyConnection, spine: SpineLike, at_once: int) -> Spine:
    """Take a pandas frame, an Arrow table, a Parquet file's path or a SQL query as the spine.

    A file of up to `at_once` rows is read into memory: the joins of all views and the result read it again.

    Raises:
        SpineError: no column, or more than one, could be the instant of a row.
    """
    relation, batches = _relation(connection, spine, at_once)
    types = column_types(connection, relation)
    del types["__row"]
    return Spine(relation, types, timestamp_column(types), batches)


def is_parquet(spine: object) -> bool:
    """Whether a spine is given as the path of a Parquet file."""
    return isinstance(spine, Path) or (isinstance(spine, str) and spine.endswith(".parquet"))


def timestamp_column(types: dict[str, str]) -> str:
    """`event_timestamp`, or else the only column of a timestamp type.

    Raises:
        SpineError: there is neither.
    """
    timestamps = [name for name, kind in types.items() if kind.upper().startswith("TIMESTAMP")]
    if EVENT_TIMESTAMP in timestamps:
        return EVENT_TIMESTAMP
    if len(timestamps) == 1:
        return timestamps[0]
    found = ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
    raise SpineError(
        f"the spine needs a timestamp column {EVENT_TIMESTAMP!r}, or exactly one of any name; it has {found}"
    )


def _relation(connection: duckdb.DuckDBPyConnection, spine: Any, at_once: int) -> tuple[str, Batches]:
    """SQL that yields the spine's rows with their numbers, and how to read its own columns in order."""
    if is_parquet(spine):
        path = str(spine)
        if (whole := _read_whole(path, at_once)) is None:
            numbered = f"read_parquet({text(path)}, file_row_number = true)"
            relation = f"(SELECT * RENAME (file_row_number AS __row) FROM {numbered})"
            return relation, lambda size: of_file(path, size)
        spine = whole
    elif isinstance(spine, str):
        connection.execute(
            "CREATE TEMP TABLE spine AS SELECT *, row_number() OVER () - 1 AS __row "
            f"FROM ({spine.strip().rstrip(';')})"
        )
        return "spine", lambda size: _of_query(connection, size)
    table = pa.Table.from_pandas(spine, preserve_index=False) if isinstance(spine, pd.DataFrame) else spine
    comparable = pa.table([_comparable(column) for column in table.columns], table.column_names)
    connection.register("spine", comparable.append_column("__row", pa.array(np.arange(table.num_rows))))
    return "spine", lambda size: of_table(table, size)


def _read_whole(path: str, most: int) -> pa.Table | None:
    """A Parquet file's rows, if there are at most so many."""
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:  # decoded where it lies
        return file.read() if file.metadata.num_rows <= most else None


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in a type that DuckDB takes from Arrow; no key is nested, so what is becomes nulls."""
    if pa.types.is_nested(column.type):
        return pa.chunked_array([pa.nulls(len(column))])
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    return column.cast(pa.float64()) if pa.types.is_decimal256(column.type) else column


def of_table(table: pa.Table, size: int) -> Iterator[pa.Table]:
    """Slices of `table`, at least one."""
    for start in range(0, max(table.num_rows, 1), size):
        yield table.slice(start, size)


def of_file(path: str, size: int) -> Iterator[pa.Table]:
    """A Parquet file's rows, in order, as at least one table."""
    with pq.ParquetFile(path, pre_buffer=False) as file:  # buffered, a row group would be held twice
        yield from _tables(file.iter_batches(batch_size=size), file.schema_arrow)


def _of_query(connection: duckdb.DuckDBPyConnection, size: int) -> Iterator[pa.Table]:
    (rows,) = first_row(connection, "SELECT count(*) FROM spine")
    for start in range(0, max(rows, 1), size):
        yield connection.sql(
            f"SELECT * EXCLUDE (__row) FROM spine WHERE __row >= {start} AND __row < {start + size} "
            "ORDER BY __row"
        ).to_arrow_table()


def _tables(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The batches as tables, and an empty one where there are none."""
    empty = True
    for batch in batches:
        empty = False
        yield pa.Table.from_batches([batch])
    if empty:
        yield schema.empty_table()
