"""The point-in-time join: for every spine row, the newest feature row that was known at its instant.

For a spine row at instant t, a feature row of the same key is usable when

    event_timestamp <= t,  created_timestamp <= t  and  event_timestamp >= t - TTL.

Of the usable rows the one with the newest (event_timestamp, created_timestamp) is taken; rows that
are equal in both are told apart by their place in the table, later over earlier. The spine keeps
its rows, their order and its columns. Instants are whole microseconds, UTC; finer parts are cut off.

An ASOF join finds the last row whose *order column* is at or before t. Where a row may become
known after a newer one, event_timestamp cannot be that column. It then is the instant a row
becomes usable, known_from = max(event, created), and rows that were overtaken before they became
known are dropped first: a row stays only if it is the newest of all rows known by its known_from.
Of what stays, the last known by t is the newest known by t.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from features.stores.errors import SpineError
from features.stores.partitions import data_files
from features.stores.spine import Spine, SpineLike, load_spine
from features.stores.sql import connect, first_row, listed, microseconds, quoted, text

CHUNK = 1_000_000  # spine rows joined at a time; bounds memory, whatever the spine's length
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Column:
    """A feature to join.

    Attributes:
        name: its column in the table.
        output: its column in the result.
        sql_type: its DuckDB type, for tables that have no rows yet.
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


def join(spine: SpineLike, views: tuple[ViewColumns, ...], chunk: int = CHUNK) -> Iterator[pa.Table]:
    """Yield the spine with the views' features, `chunk` rows at a time, at least one table.

    Raises:
        SpineError: the spine lacks a key column or an instant, or a feature would take the place of
            one of its columns.
    """
    with connect() as connection:
        loaded = load_spine(connection, spine)
        _check(loaded, views)
        for start in range(0, max(loaded.rows, 1), chunk):
            rows = f"__row >= {start} AND __row < {start + chunk}"
            table = connection.sql(
                f"SELECT {listed(map(quoted, loaded.columns))} FROM spine WHERE {rows} ORDER BY __row"
            ).to_arrow_table()
            for view in views:
                joined = _join_view(connection, loaded, rows, view)
                for name in joined.column_names:
                    table = table.append_column(name, joined.column(name))
            yield table


def _check(spine: Spine, views: tuple[ViewColumns, ...]) -> None:
    has = f"it has {', '.join(spine.columns)}"
    taken = set(spine.columns)
    for view in views:
        for key in view.keys.values():
            if key not in spine.columns:
                raise SpineError(f"the spine has no column {key!r}, a key of view {view.name}; {has}")
        for column in view.columns:
            if column.output in taken:
                raise SpineError(
                    f"feature {column.output!r} of view {view.name} would take the place of a column of that "
                    "name; ask for full feature names or rename the spine's column"
                )
            taken.add(column.output)


def _join_view(connection: duckdb.DuckDBPyConnection, spine: Spine, rows: str, view: ViewColumns) -> pa.Table:
    """One view's features for the spine's `rows`, in their order."""
    instant = microseconds(spine.timestamp)
    first, last = first_row(connection, f"SELECT min({instant}), max({instant}) FROM spine WHERE {rows}")
    ttl = view.ttl // timedelta(microseconds=1)
    earliest = first - ttl if ttl and first is not None else None
    relation = rows_of(view, earliest, last)
    keys = [f"k{index}" for index in range(len(view.keys))]
    known_from, overtaken = "event", ""
    if _needs_order(connection, relation, keys):
        newest = "(event, created, file, file_row_number)"
        known_from = "greatest(event, created)"
        overtaken = (
            f"QUALIFY {newest} = max({newest}) OVER (PARTITION BY {listed(keys)} ORDER BY {known_from} "
            "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        )
    key_types = dict(
        connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {relation})").fetchall()
    )
    spine_keys = (
        f"CAST({quoted(column)} AS {key_types[key]}) AS {key}"
        for key, column in zip(keys, view.keys.values(), strict=True)
    )
    fresh = f"known.event >= asked.instant - {ttl}" if ttl else "true"
    outputs = (
        f"CASE WHEN {fresh} THEN known.f{index} END AS {quoted(column.output)}"
        for index, column in enumerate(view.columns)
    )
    features = (f"f{index}" for index in range(len(view.columns)))
    return connection.sql(f"""
        WITH asked AS (SELECT __row, {instant} AS instant, {listed(spine_keys)} FROM spine WHERE {rows}),
        known AS (
            SELECT {listed(keys)}, event, {known_from} AS known_from, {listed(features)}
            FROM ({relation}) {overtaken}
        )
        SELECT {listed(outputs)} FROM asked ASOF LEFT JOIN known
        ON {" AND ".join(f"asked.{key} = known.{key}" for key in keys)} AND asked.instant >= known.known_from
        ORDER BY asked.__row
    """).to_arrow_table()


def rows_of(view: ViewColumns, earliest: int | None, latest: int | None) -> str:
    """SQL for the view's rows with `event` in earliest..latest, microseconds since 1970.

    Columns: keys k0.., event, created, features f0.., and file and file_row_number, by which
    rows are ordered within the table.
    """
    files = data_files(view.folder, _datetime(earliest), _datetime(latest))
    names = [*view.keys, *(column.name for column in view.columns)]
    aliases = [*(f"k{i}" for i in range(len(view.keys))), *(f"f{i}" for i in range(len(view.columns)))]
    if not files:
        types = ["VARCHAR"] * len(view.keys) + [column.sql_type for column in view.columns]
        nulls = listed(f"NULL::{kind} AS {alias}" for alias, kind in zip(aliases, types, strict=True))
        return (
            f"SELECT {nulls}, NULL::BIGINT AS event, NULL::BIGINT AS created, NULL::VARCHAR AS file, "
            "NULL::BIGINT AS file_row_number WHERE false"
        )
    event = microseconds(view.event_timestamp)
    created = f"coalesce({microseconds(view.created_timestamp)}, {event})"
    bounds = [f"{event} IS NOT NULL"]
    bounds += [f"{event} >= {earliest}"] if earliest is not None else []
    bounds += [f"{event} <= {latest}"] if latest is not None else []
    columns = listed(f"{quoted(name)} AS {alias}" for name, alias in zip(names, aliases, strict=True))
    return (
        f"SELECT {columns}, {event} AS event, {created} AS created, __file AS file, file_row_number "
        f"FROM read_parquet([{listed(text(str(file)) for file in files)}], union_by_name = true, "
        f"filename = '__file', file_row_number = true) WHERE {' AND '.join(bounds)}"
    )


def _needs_order(connection: duckdb.DuckDBPyConnection, relation: str, keys: list[str]) -> bool:
    """Whether rows became known late, or share a key and an instant; snapshots never do."""
    late, rows, distinct = first_row(
        connection,
        "SELECT coalesce(bool_or(created > event), false), count(*), "
        f"count(DISTINCT ({listed(keys)}, event)) FROM ({relation})",
    )
    return bool(late) or rows != distinct


def _datetime(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
