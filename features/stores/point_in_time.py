"""The point-in-time join: for every spine row, the newest feature row that was known at its instant.

For a spine row at instant t, a feature row of the same key is usable when

    event_timestamp <= t,  created_timestamp <= t  and  event_timestamp >= t - TTL.

Of the usable rows the one with the newest (event_timestamp, created_timestamp) is taken; rows that
are equal in both are told apart by their place in the table, later over earlier. The spine keeps
its rows, their order and its columns. Instants are whole microseconds, UTC; finer parts are cut off.

DuckDB joins in two passes, so that it sorts numbers only. The first finds the *place* of each
spine row's feature row: keys become numbers, rows of keys that the spine lacks and those no instant
of their key can reach are left out, and an ASOF join finds the last row at or before t. The second
reads the features of the places found.

A key's number is its hash. Hashes may meet; whether those of the spine's keys do is looked up first,
and then they are counted off instead. Feature rows are met by the keys themselves, never by hashes.

An ASOF join finds the last row by one column. That column is the pair (known_from, place) in one
number, known_from = max(event, created) being the instant a row becomes usable; so rows of an equal
instant need no counting. Where a row became known after a newer one, it was overtaken before it
could be used, and is dropped first: a row stays only if it is the newest of all rows known by its
known_from. Of what stays, the last known by t is the newest known by t.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from features.stores.rows import Rows, rows_of
from features.stores.spine import Spine, SpineLike, load_spine
from features.stores.sql import MEMORY_LIMIT, connect, first_row, listed, microseconds, quoted
from features.stores.views import ViewColumns, check_spine

CHUNK = 1_000_000  # spine rows that features are put beside at a time
_BIGINT = 1 << 63
_HASH = "hash({})"  # SQL for a key's number, of its columns


def join(
    spine: SpineLike, views: tuple[ViewColumns, ...], chunk: int = CHUNK, memory_limit: str = MEMORY_LIMIT
) -> Iterator[pa.Table]:
    """Yield the spine with the views' features, at most `chunk` rows at a time, at least one table.

    Raises:
        SpineError: the spine lacks a key column or an instant, or a feature would take the place of
            one of its columns.
    """
    with connect(memory_limit) as connection:
        loaded = load_spine(connection, spine)
        check_spine(loaded.columns, views)
        connection.execute("SET preserve_insertion_order = false")  # rows carry their numbers from here on
        instant = microseconds(loaded.timestamp, loaded.types[loaded.timestamp])
        first, last, count = first_row(
            connection, f"SELECT min({instant}), max({instant}), count(*) FROM {loaded.relation}"
        )
        features = []
        for index, view in enumerate(views):
            earliest = first - view.ttl_microseconds if view.ttl and first is not None else None
            rows = rows_of(connection, view, earliest, last)
            _find(connection, loaded, instant, view, rows, index)
            # A spine of one chunk meets the files themselves; one of many would read them for each.
            features.append(f"({rows.features})" if count <= chunk else _read(connection, rows, index))
        start = 0
        for table in loaded.batches(chunk):
            yield _beside(connection, table, start, views, features)
            start += table.num_rows


def _find(
    connection: duckdb.DuckDBPyConnection,
    spine: Spine,
    instant: str,
    view: ViewColumns,
    rows: Rows,
    index: int,
) -> None:
    """Make the table found_`index`: spine rows that have a usable feature row, and its place."""
    ttl = view.ttl_microseconds
    names = [f"k{number}" for number in range(len(view.keys))]
    keys = listed(
        f"CAST({quoted(column)} AS {kind}) AS {name}"
        for name, column, kind in zip(names, view.keys.values(), rows.key_types, strict=True)
    )
    connection.execute(f"""
        CREATE TEMP TABLE keys AS
        SELECT *, {_HASH.format(listed(names))} AS key FROM (
            SELECT {keys}, min({instant}) AS first, max({instant}) AS last
            FROM {spine.relation} GROUP BY {listed(names)}
        )
    """)
    asked = f"SELECT __row, {instant} AS instant, {keys} FROM {spine.relation}"
    if _tell_apart(connection):
        asked = f"SELECT *, {_HASH.format(listed(names))} AS key FROM ({asked})"
    else:
        connection.execute("UPDATE keys SET key = rowid")
        asked = f"SELECT * FROM ({asked}) JOIN keys USING ({listed(names)})"
    connection.execute(f"""
        CREATE TEMP TABLE known AS
        SELECT key, event, created, place FROM ({rows.narrow}) JOIN keys USING ({listed(names)})
        WHERE event <= last AND created <= last {f"AND event >= first - {ttl}" if ttl else ""}
    """)
    fresh = f"known.event >= asked.instant - {ttl}" if ttl else "true"
    scale = _scale(connection, rows)
    connection.execute(f"""
        CREATE TEMP TABLE found_{index} AS
        WITH asked AS (
            SELECT __row, key, instant, {scale.pair("instant", str(rows.places))} AS latest
            FROM ({asked})
        ),
        known AS ({_in_order(connection, scale)})
        SELECT asked.__row, known.place
        FROM asked ASOF JOIN known ON asked.key = known.key AND asked.latest >= known.rank
        WHERE {fresh};
        DROP TABLE known;
        DROP TABLE keys
    """)


def _tell_apart(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether each of `keys` has a number of its own."""
    (apart,) = first_row(connection, "SELECT count(*) = count(DISTINCT key) FROM keys")
    return bool(apart)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Makes one number of an instant and a place, in the order of both.

    Attributes:
        start: the earliest instant there is, microseconds since 1970.
        places: places are at most this number.
        sql_type: BIGINT, which sorts fastest, where the largest pair is one.
    """

    start: int
    places: int
    sql_type: str

    def pair(self, instant: str, place: str) -> str:
        return f"(({instant} - {self.start})::{self.sql_type} * {self.places + 1} + {place})"


def _scale(connection: duckdb.DuckDBPyConnection, rows: Rows) -> _Scale:
    """The scale of the instants in `keys` and `known`."""
    start, end = first_row(
        connection,
        "SELECT least(min(first), (SELECT min(event) FROM known), (SELECT min(created) FROM known)), "
        "max(last) FROM keys",
    )
    if start is None:
        return _Scale(0, rows.places, "BIGINT")
    fits = (end - start + 2) * (rows.places + 1) < _BIGINT
    return _Scale(start, rows.places, "BIGINT" if fits else "HUGEINT")


def _in_order(connection: duckdb.DuckDBPyConnection, scale: _Scale) -> str:
    """SQL for the rows of `known` that may be used at some instant, in `rank` ordered by when they may."""
    late, early = first_row(
        connection, "SELECT bool_or(created > event), bool_or(created < event) FROM known"
    )
    if not late and not early:
        return f"SELECT key, event, place, {scale.pair('event', 'place')} AS rank FROM known"
    # Rows of an equal event and an equal known_from differ in `created` only when that lies before the event.
    order = "row_number() OVER (ORDER BY created, place)" if early else "place"
    ranked = f"SELECT *, greatest(event, created) AS known_from, {order} AS place_rank FROM known"
    newest = scale.pair("event", "place_rank")
    overtaken = (
        f"QUALIFY {newest} = max({newest}) OVER "
        "(PARTITION BY key ORDER BY known_from RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    )
    rank = scale.pair("known_from", "place_rank")
    return f"SELECT key, event, place, {rank} AS rank FROM ({ranked}) {overtaken if late else ''}"


def _read(connection: duckdb.DuckDBPyConnection, rows: Rows, index: int) -> str:
    """Make the table taken_`index`, and give its name: the features of the places found, each once."""
    connection.execute(
        f"CREATE TEMP TABLE taken_{index} AS "
        f"SELECT * FROM ({rows.features}) WHERE place IN (SELECT place FROM found_{index})"
    )
    return f"taken_{index}"


def _beside(
    connection: duckdb.DuckDBPyConnection,
    table: pa.Table,
    start: int,
    views: tuple[ViewColumns, ...],
    features: list[str],
) -> pa.Table:
    """The spine's rows from `start` on, with what the views' `features` (SQL) hold at the places found."""
    stop = start + table.num_rows
    for index, (view, of_view) in enumerate(zip(views, features, strict=True)):
        outputs = (f"f{number} AS {quoted(column.output)}" for number, column in enumerate(view.columns))
        found = connection.sql(f"""
            SELECT {listed(outputs)}
            FROM (SELECT range AS __row FROM range({start}, {stop}))
            LEFT JOIN (SELECT * FROM found_{index} WHERE __row >= {start} AND __row < {stop}) USING (__row)
            LEFT JOIN {of_view} USING (place)
            ORDER BY __row
        """).to_arrow_table()
        for name in found.column_names:
            table = table.append_column(name, found.column(name))
    return table
