"""The point-in-time join: for every spine row, the newest feature row that was known at its instant.

For a spine row at instant t, a feature row of the same key is usable when

    event_timestamp <= t,  created_timestamp <= t  and  event_timestamp >= t - TTL.

Of the usable rows the one with the newest (event_timestamp, created_timestamp) is taken; rows that
are equal in both are told apart by their place in the table, later over earlier. The spine keeps
its rows, their order and its columns. Instants are whole microseconds, UTC; finer parts are cut off.

DuckDB joins in two passes, so that it sorts numbers only. The first finds the *place* of each spine
row's feature row (features.stores.places), the second reads the features of the places found.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from features.stores.places import Lookup, find_by_hash, find_by_number
from features.stores.rows import rows_of
from features.stores.spine import SpineLike, load_spine
from features.stores.sql import MEMORY_LIMIT, connect, first_row, listed, microseconds
from features.stores.views import ViewColumns, check_spine

CHUNK = 1_000_000  # spine rows that features are put beside at a time
LARGE = 8  # a view has at most so many rows for each of a spine that is not small beside it


def join(
    spine: SpineLike, views: tuple[ViewColumns, ...], chunk: int = CHUNK, memory_limit: str = MEMORY_LIMIT
) -> Iterator[pa.Table]:
    """Yield the spine with the views' features, at most `chunk` rows at a time, at least one table.

    Raises:
        SpineError: the spine lacks a key column or an instant, or a feature would take the place of
            one of its columns.
    """
    with connect(memory_limit) as connection:
        loaded = load_spine(connection, spine, chunk)
        check_spine(loaded.columns, views)
        connection.execute("SET preserve_insertion_order = false")  # rows carry their numbers from here on
        instant = microseconds(loaded.timestamp, loaded.types[loaded.timestamp])
        first, last, count = first_row(
            connection, f"SELECT min({instant}), max({instant}), count(*) FROM {loaded.relation}"
        )
        found = []
        for index, view in enumerate(views):
            earliest = first - view.ttl_microseconds if view.ttl and first is not None else None
            rows = rows_of(connection, view, earliest, last)
            lookup = Lookup(loaded, instant, first, last, view, rows)
            large = rows.most <= count * LARGE
            found.append(_Found(connection, lookup, f"found_{index}", large=large, again=count > chunk))
        start = 0
        for table in loaded.batches(chunk):
            features = [column for of_view in found for column in of_view.features(table, start)]
            start += table.num_rows
            for name, values in features:
                table = table.append_column(name, values)
            yield table


class _Found:
    """The rows found in one view.

    Args:
        connection: in which the lookup's relations are.
        lookup: what is looked up.
        name: of the table of places.
        large: the spine is not small beside the view.
        again: features are asked for several times, so they are taken out of the files, each once.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, lookup: Lookup, name: str, *, large: bool, again: bool
    ) -> None:
        self._connection, self._lookup, self._name, self._again = connection, lookup, name, again
        self._by_hash = large and lookup.same_ids
        (find_by_hash if self._by_hash else find_by_number)(connection, lookup, name)
        self._source = f"({lookup.rows.features})"
        if again:
            connection.execute(
                f"CREATE TEMP TABLE at_{name} AS "
                f"SELECT * FROM {self._source} WHERE place IN (SELECT place FROM {name})"
            )
            self._source = f"at_{name}"

    def features(self, table: pa.Table, start: int) -> list[tuple[str, pa.ChunkedArray]]:
        """Names and columns of the features for `table`, the spine's rows from `start` on."""
        read = self._read(start, table.num_rows)
        if self._by_hash and not self._are_of_their_keys(read, table):
            self._mend()
            read = self._read(start, table.num_rows)
        columns = self._lookup.view.columns
        return [(column.output, read[f"f{number}"]) for number, column in enumerate(columns)]

    def _read(self, start: int, count: int) -> pa.Table:
        """Features, and keys where hashes were compared, in the spine's order; null where nothing is."""
        features = (f"f{number}" for number in range(len(self._lookup.view.columns)))
        keys = self._lookup.names if self._by_hash else ()
        return self._connection.sql(f"""
            SELECT {listed([*features, *keys])}
            FROM (FROM {self._name} WHERE __row >= {start} AND __row < {start + count})
            LEFT JOIN {self._source} USING (place)
            ORDER BY __row
        """).to_arrow_table()

    def _are_of_their_keys(self, read: pa.Table, table: pa.Table) -> bool:
        """Whether each row that was read for one of `table` has its very key."""
        keys = zip(self._lookup.names, self._lookup.view.keys.values(), strict=True)
        return all(
            pc.all(pc.equal(read[name], table[column].cast(read[name].type))).as_py() is not False
            for name, column in keys
        )

    def _mend(self) -> None:
        """Find by number what spine rows see that a row of another key was found for, wherever they are."""
        differ = " OR ".join(f"seen.{name} <> asked.{name}" for name in self._lookup.names)
        self._connection.execute(f"""
            CREATE TEMP TABLE mistaken AS
            SELECT __row FROM {self._name} JOIN {self._source} AS seen USING (place)
            JOIN ({self._lookup.asked}) AS asked USING (__row) WHERE {differ}
        """)
        find_by_number(self._connection, self._lookup.of_rows("mistaken"), "mended")
        self._connection.execute(f"""
            DELETE FROM {self._name} WHERE __row IN (FROM mistaken);
            INSERT INTO {self._name} FROM mended
        """)
        if self._again:
            self._connection.execute(f"""
                INSERT INTO {self._source} FROM ({self._lookup.rows.features})
                WHERE place IN (SELECT place FROM mended EXCEPT SELECT place FROM {self._source})
            """)
        self._connection.execute("DROP TABLE mistaken; DROP TABLE mended")
        self._by_hash = False
