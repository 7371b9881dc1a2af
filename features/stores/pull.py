"""A lake table's rows, or the newest of each key, as Feast pulls them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from features.stores.rows import rows_of
from features.stores.sql import MEMORY_LIMIT, connect, listed, quoted
from features.stores.values import since_epoch
from features.stores.views import ViewColumns

BATCH = 50_000
"""Rows of a table."""


def pull(
    view: ViewColumns,
    start: datetime | None,
    end: datetime | None,
    *,
    newest: bool,
    memory_limit: str = MEMORY_LIMIT,
) -> Iterator[pa.Table]:
    """Rows within start..end, both included, by key and time; with `newest` each key's last, in any order."""
    names = listed(f"k{index}" for index in range(len(view.keys)))
    keys = (f"k{index} AS {quoted(key)}" for index, key in enumerate(view.keys))
    features = (f"f{index} AS {quoted(column.output)}" for index, column in enumerate(view.columns))
    times = (
        f"make_timestamptz(event) AS {quoted(view.event_timestamp)}",
        f"make_timestamptz(created) AS {quoted(view.created_timestamp)}",
    )
    earliest, latest = bounds(start, end)
    with connect(memory_limit) as connection:
        rows = rows_of(connection, view, earliest, latest)
        selected = f"SELECT {listed((*keys, *features, *times))} FROM ({rows.whole})"
        if newest:
            # Only the places of the rows are held in memory, not the rows.
            last = f"SELECT arg_max(place, (event, created, place)) FROM ({rows.narrow}) GROUP BY {names}"
            query = f"{selected} WHERE place IN ({last})"
        else:
            query = f"{selected} ORDER BY {names}, event, created, place"
        reader = connection.sql(query).to_arrow_reader(BATCH)
        yield reader.schema.empty_table()
        for batch in reader:
            yield pa.Table.from_batches([batch])


def bounds(start: datetime | None, end: datetime | None) -> tuple[int | None, int | None]:
    """The ends of a range as microseconds since 1970; None leaves a side open."""
    return None if start is None else since_epoch(start), None if end is None else since_epoch(end)
