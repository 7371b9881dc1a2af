"""The spine: the rows that features are joined to, each at its own instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa

from features.stores.errors import SpineError
from features.stores.sql import first_row, quoted, text

SpineLike: TypeAlias = pd.DataFrame | pa.Table | str | Path
EVENT_TIMESTAMP = "event_timestamp"


@dataclass(frozen=True, slots=True)
class Spine:
    """A spine held by DuckDB as the temporary table `spine`, with its row number in `__row`.

    Attributes:
        columns: its own columns, in order.
        timestamp: the column that holds the instant of each row.
        rows: row count.
    """

    columns: tuple[str, ...]
    timestamp: str
    rows: int


def load_spine(connection: duckdb.DuckDBPyConnection, spine: SpineLike) -> Spine:
    """Take a pandas frame, an Arrow table, a Parquet file's path or a SQL query as the spine.

    Raises:
        SpineError: no column, or more than one, could be the instant of a row.
    """
    connection.execute(
        "CREATE TEMP TABLE spine AS SELECT *, row_number() OVER () - 1 AS __row "
        f"FROM {_relation(connection, spine)}"
    )
    described = connection.execute("DESCRIBE spine").fetchall()
    types = {name: kind for name, kind, *_ in described if name != "__row"}
    (rows,) = first_row(connection, "SELECT count(*) FROM spine")
    return Spine(tuple(types), _timestamp_column(types), rows)


def _relation(connection: duckdb.DuckDBPyConnection, spine: SpineLike) -> str:
    """SQL that yields the spine's rows in their order."""
    if isinstance(spine, Path) or (isinstance(spine, str) and spine.endswith(".parquet")):
        return f"read_parquet({text(str(spine))})"
    if isinstance(spine, str):
        return f"({spine.strip().rstrip(';')})"
    table = pa.Table.from_pandas(spine, preserve_index=False) if isinstance(spine, pd.DataFrame) else spine
    connection.register("given_spine", table)
    return "given_spine"


def _timestamp_column(types: dict[str, str]) -> str:
    """`event_timestamp`, or else the only column of a timestamp type."""
    timestamps = [name for name, kind in types.items() if kind.startswith("TIMESTAMP")]
    if EVENT_TIMESTAMP in timestamps:
        return EVENT_TIMESTAMP
    if len(timestamps) == 1:
        return timestamps[0]
    found = ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
    raise SpineError(
        f"the spine needs a timestamp column {EVENT_TIMESTAMP!r}, or exactly one of any name; it has {found}"
    )
