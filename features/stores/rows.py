"""A lake table's rows as DuckDB reads them: keys, features, instants, and each row's place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from features.stores.partitions import data_files
from features.stores.sql import column_types, first_row, listed, microseconds, quoted, text
from features.stores.views import ViewColumns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rows:
    """SQL for a view's rows. `place` is a row's place in the table: later files and rows are larger.

    Attributes:
        narrow: k0, k1, ... (keys), event, created (microseconds since 1970) and place.
        features: place, k0, k1, ... and f0, f1, ... in the order of the view's columns.
        whole: all of these.
        key_types: DuckDB types of k0, k1, ...
        places: places are below this number.
        most: there are at most so many rows, as the files' footers say.
    """

    narrow: str
    features: str
    whole: str
    key_types: tuple[str, ...]
    places: int
    most: int


def rows_of(
    connection: duckdb.DuckDBPyConnection, view: ViewColumns, earliest: int | None, latest: int | None
) -> Rows:
    """The view's rows with `event` in earliest..latest, microseconds since 1970; None leaves a side open.

    A created time that is missing is the event's. A feature that a file lacks is null.
    """
    files = data_files(view.folder, datetime_of(earliest), datetime_of(latest))
    if not files:
        return _no_rows(view)
    source = f"read_parquet([{listed(text(str(file)) for file in files)}], union_by_name = true)"
    types = column_types(connection, source)
    event = microseconds(view.event_timestamp, types[view.event_timestamp])
    created = f"coalesce({microseconds(view.created_timestamp, types[view.created_timestamp])}, {event})"
    keys = listed(f"{quoted(key)} AS k{index}" for index, key in enumerate(view.keys))
    features = listed(
        f"{quoted(column.name) if column.name in types else f'NULL::{column.sql_type}'} AS f{index}"
        for index, column in enumerate(view.columns)
    )
    # Files and the rows in them make one number, no larger than need be: it is sorted by.
    in_a_file, in_all = _rows_in_files(connection, files)
    place = f"file_index::BIGINT * {in_a_file} + file_row_number AS place"
    times = f"{event} AS event, {created} AS created, {place}"
    bounds = [f"{event} IS NOT NULL"]
    bounds += [f"{event} >= {earliest}"] if earliest is not None else []
    bounds += [f"{event} <= {latest}"] if latest is not None else []
    within = f"FROM {source} WHERE {' AND '.join(bounds)}"
    return Rows(
        narrow=f"SELECT {keys}, {times} {within}",
        features=f"SELECT {place}, {keys}, {features} FROM {source}",
        whole=f"SELECT {keys}, {features}, {times} {within}",
        key_types=tuple(types[key] for key in view.keys),
        places=in_a_file * len(files),
        most=in_all,
    )


def _no_rows(view: ViewColumns) -> Rows:
    keys = listed(f"NULL::VARCHAR AS k{index}" for index in range(len(view.keys)))
    features = listed(f"NULL::{column.sql_type} AS f{index}" for index, column in enumerate(view.columns))
    times = "NULL::BIGINT AS event, NULL::BIGINT AS created, NULL::BIGINT AS place"
    return Rows(
        narrow=f"SELECT {keys}, {times} WHERE false",
        features=f"SELECT NULL::BIGINT AS place, {keys}, {features} WHERE false",
        whole=f"SELECT {keys}, {features}, {times} WHERE false",
        key_types=("VARCHAR",) * len(view.keys),
        places=1,
        most=0,
    )


def _rows_in_files(connection: duckdb.DuckDBPyConnection, files: list[Path]) -> tuple[int, int]:
    """Rows of the largest file, at least one, and of all."""
    listing = listed(text(str(file)) for file in files)
    query = f"SELECT max(num_rows), sum(num_rows) FROM parquet_file_metadata([{listing}])"
    largest, together = first_row(connection, query)
    return max(1, int(largest)), int(together)


def datetime_of(microseconds: int | None) -> datetime | None:
    """The instant so many microseconds after 1970, where there is one."""
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
