"""Finds the place of the feature row that each spine row sees, on DuckDB.

Nothing but numbers is sorted: an instant, a place, and a number in the stead of the key. An ASOF join
finds the last row by one column. That column is the pair (known_from, place) in one number,
known_from = max(event, created) being the instant a row becomes usable; so rows of an equal instant
need no counting. Where a row became known after a newer one, it was overtaken before it could be used,
and is dropped first: a row stays only if it is the newest of all rows known by its known_from. Of what
stays, the last known by t is the newest known by t.

A key's number is its hash, or its row in a table of the spine's keys. Hashes cost nothing to make, but
all of the view's rows are sorted, and two keys may share one. What is found is then the newest row of
both; if it is of the spine row's very key, it is the newest of that key, so who reads the rows has only to
compare keys. The table leaves out rows of keys that the spine lacks and those that no instant of their key
can reach, which pays where the spine is small beside the view.

DuckDB sorts by up to 16 bytes much faster than by more, and gives each column one beside its own. A rank has
eight; so a hash is cut to the five that are left, in two columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from features.stores.rows import Rows
from features.stores.spine import Spine
from features.stores.sql import first_row, listed, quoted
from features.stores.views import ViewColumns

_BIGINT = 1 << 63
_HASH = "hash({})"  # SQL for the hash of a key's columns
_HASH_PARTS = {"key": "(hash & 4294967295)::UINTEGER", "key_rest": "(hash >> 56)::UTINYINT"}
_IDS = {"VARCHAR", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is looked up, and in what.

    Attributes:
        spine: its rows.
        instant: SQL for the instant of one of them, microseconds since 1970.
        first: the earliest of these instants; None if there is none.
        last: the latest.
        view: whose rows are found.
        rows: these.
    """

    spine: Spine
    instant: str
    first: int | None
    last: int | None
    view: ViewColumns
    rows: Rows

    @property
    def names(self) -> list[str]:
        """The key's columns as `rows` has them."""
        return [f"k{number}" for number in range(len(self.view.keys))]

    @property
    def asked(self) -> str:
        """SQL for the spine's rows: __row, instant, and the key's columns in the view's types."""
        columns = zip(self.names, self.view.keys.values(), self.rows.key_types, strict=True)
        keys = listed(f"CAST({quoted(column)} AS {kind}) AS {name}" for name, column, kind in columns)
        return f"SELECT __row, {self.instant} AS instant, {keys} FROM {self.spine.relation}"

    def of_rows(self, rows: str) -> Lookup:
        """The same for some of the spine's rows alone: those whose __row is in the relation `rows`."""
        relation = f"(FROM {self.spine.relation} WHERE __row IN (SELECT __row FROM {rows}))"
        return replace(self, spine=replace(self.spine, relation=relation))

    @property
    def same_ids(self) -> bool:
        """Whether spine and view have the key as the same texts and whole numbers, which compare anywhere."""
        types = tuple(self.spine.types[column] for column in self.view.keys.values())
        return types == self.rows.key_types and set(types) <= _IDS


def find_by_hash(connection: duckdb.DuckDBPyConnection, lookup: Lookup, found: str) -> None:
    """Make the table `found`: the __row of every spine row, and its place or null.

    A place may be that of another key, of the same hash.
    """
    whole = " AND ".join(f"{name} IS NOT NULL" for name in lookup.names)
    hashed = f"*, CASE WHEN {whole} THEN {_HASH.format(listed(lookup.names))} END AS hash"
    parts = listed(f"{part} AS {name}" for name, part in _HASH_PARTS.items())
    asked = f"SELECT *, {parts} FROM (SELECT {hashed} FROM ({lookup.asked}))"
    asked_at_all = "false" if lookup.last is None else "true"  # without an instant nothing bounds the ranks
    known = f"SELECT *, {parts} FROM (SELECT {hashed} FROM ({lookup.rows.narrow}) WHERE {asked_at_all})"
    _join(connection, lookup, [*_HASH_PARTS], asked, known, found)


def find_by_number(connection: duckdb.DuckDBPyConnection, lookup: Lookup, found: str) -> None:
    """Make the table `found`: the __row of every spine row, and its place or null."""
    keys, ttl = listed(lookup.names), lookup.view.ttl_microseconds
    connection.execute(f"""
        CREATE TEMP TABLE keys AS
        SELECT *, (row_number() OVER ())::UINTEGER AS key FROM (
            SELECT {keys}, min(instant) AS first, max(instant) AS last FROM ({lookup.asked}) GROUP BY {keys}
        );
        CREATE TEMP TABLE usable AS
        SELECT key, event, created, place FROM ({lookup.rows.narrow}) JOIN keys USING ({keys})
        WHERE event <= last AND created <= last {f"AND event >= first - {ttl}" if ttl else ""}
    """)
    asked = f"FROM ({lookup.asked}) LEFT JOIN keys USING ({keys})"
    _join(connection, lookup, ["key"], asked, "FROM usable", found)
    connection.execute("DROP TABLE usable; DROP TABLE keys")


def _join(
    connection: duckdb.DuckDBPyConnection,
    lookup: Lookup,
    numbers: list[str],
    asked: str,
    known: str,
    found: str,
) -> None:
    """Make the table `found` of the last row of `known` for each of `asked`, SQL both, by their `numbers`.

    No event of `known` comes after the spine's last instant.
    """
    times = "min(event), bool_or(created > event), bool_or(created < event)"
    earliest, late, early = first_row(connection, f"SELECT {times} FROM ({known})")
    scale, key = _scale(lookup, earliest), listed(numbers)
    if late or early:
        in_time = f"FROM ({known}) WHERE created <= {lookup.last}"
        ranked = _in_order(scale, key, in_time, late=late, early=early)
        event, place = "known.event", "known.place"
    else:  # the rank itself says both, and less is sorted
        ranked = f"SELECT {key}, {scale.pair('event', 'place')} AS rank FROM ({known})"
        event, place = scale.instant("known.rank"), scale.place("known.rank")
    if ttl := lookup.view.ttl_microseconds:
        place = f"CASE WHEN {event} >= {scale.instant('asked.latest')} - {ttl} THEN {place} END"
    latest = scale.pair("instant", str(scale.places))
    same_key = " AND ".join(f"asked.{number} = known.{number}" for number in numbers)
    connection.execute(f"""
        CREATE TEMP TABLE {found} AS
        WITH asked AS (SELECT __row, {key}, {latest} AS latest FROM ({asked})), known AS ({ranked})
        SELECT asked.__row, {place} AS place
        FROM asked ASOF LEFT JOIN known ON {same_key} AND asked.latest >= known.rank
    """)


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

    def instant(self, pair: str) -> str:
        return f"({pair} // {self.places + 1} + {self.start})"

    def place(self, pair: str) -> str:
        return f"({pair} % {self.places + 1})::BIGINT"


def _scale(lookup: Lookup, earliest: int | None) -> _Scale:
    """The scale of the spine's instants, and of rows none of whose events is before `earliest`."""
    places = lookup.rows.places
    if lookup.first is None or lookup.last is None:
        return _Scale(0, places, "BIGINT")
    start = lookup.first if earliest is None else min(lookup.first, earliest)
    fits = (lookup.last - start + 2) * (places + 1) < _BIGINT
    return _Scale(start, places, "BIGINT" if fits else "HUGEINT")


def _in_order(scale: _Scale, key: str, known: str, *, late: bool, early: bool) -> str:
    """SQL for the rows of `known` that may be used at some instant, in `rank` ordered by when they may.

    Args:
        scale: of the ranks.
        key: the columns that tell keys apart.
        known: SQL for the rows.
        late: some were created after their event.
        early: some were created before it.
    """
    # Rows of an equal event and an equal known_from differ in `created` only when that lies before the event.
    order = "row_number() OVER (ORDER BY created, place)" if early else "place"
    ranked = f"SELECT *, greatest(event, created) AS known_from, {order} AS place_rank FROM ({known})"
    newest = scale.pair("event", "place_rank")
    overtaken = (
        f"QUALIFY {newest} = max({newest}) OVER "
        f"(PARTITION BY {key} ORDER BY known_from RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    )
    rank = scale.pair("known_from", "place_rank")
    return f"SELECT {key}, event, place, {rank} AS rank FROM ({ranked}) {overtaken if late else ''}"
