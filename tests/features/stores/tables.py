"""Small lake tables, and what a point-in-time join of them should give, spelt out in plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from features.stores.views import Column, ViewColumns
from pipelines.lake import Lake

START = datetime(2026, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
INSTANT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "event_timestamp": INSTANT,
        "created_timestamp": INSTANT,
        "value": pa.float32(),
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """A feature row of a (user, item) key."""

    user: str | None
    item: str | None
    event: datetime
    created: datetime | None
    value: float | None


@dataclass(frozen=True, slots=True)
class At:
    """A spine row."""

    user: str | None
    item: str | None
    instant: datetime | None


# Keys whose concatenations coincide, instants that meet to the microsecond and cross midnight.
users = st.sampled_from(["1", "12", "a|b", "", None])
items = st.sampled_from(["23", "3", "|b", "123", None])
instants = st.builds(
    lambda days, us: START + timedelta(days=days) + us * MICROSECOND, st.integers(0, 3), st.integers(-1, 2)
)
random_rows = st.lists(
    st.builds(
        Row,
        user=users,
        item=items,
        event=instants,
        created=st.one_of(st.none(), instants),
        value=st.one_of(st.none(), st.floats(width=32, allow_nan=False)),
    ),
    max_size=25,
)
random_spines = st.lists(
    st.builds(At, user=users, item=items, instant=st.one_of(st.none(), instants)), max_size=20
).map(lambda spine: spine + spine[:3])
TTLS = (timedelta(0), MICROSECOND, timedelta(days=1), timedelta(days=2))


def write_rows(lake: Lake, table: str, rows: Iterable[Row]) -> None:
    """Publish `rows` by the day of their event, in the order given, two files a day."""
    days: dict[date, list[Row]] = {}
    for row in rows:
        days.setdefault(row.event.date(), []).append(row)
    for ds, of_day in days.items():
        columns = {
            "user_id": [row.user for row in of_day],
            "item_id": [row.item for row in of_day],
            "event_timestamp": [row.event for row in of_day],
            "created_timestamp": [row.created for row in of_day],
            "value": [row.value for row in of_day],
        }
        publish(lake, table, ds, pa.table(columns, schema=SCHEMA))


def publish(lake: Lake, table: str, ds: date | None, rows: pa.Table) -> None:
    """Publish `rows` as a table's day, in two files where there are two rows."""
    half = rows.num_rows // 2
    parts = [rows.slice(0, half), rows.slice(half)] if half else [rows]
    with lake.staging() as staged:
        paths = [staged / f"part-{number}.parquet" for number in range(len(parts))]
        for part, path in zip(parts, paths, strict=True):
            pq.write_table(part, path)
        lake.publish(table, ds, paths, {})


def view_of(folder: Path, ttl: timedelta) -> ViewColumns:
    """The `value` of a table written by `write_rows`."""
    return ViewColumns(
        name="view",
        folder=folder,
        keys={"user_id": "user_id", "item_id": "item_id"},
        columns=(Column("value", "value", "FLOAT"),),
        ttl=ttl,
        event_timestamp="event_timestamp",
        created_timestamp="created_timestamp",
    )


def spine_of(spine: Iterable[At]) -> pa.Table:
    rows = list(spine)
    return pa.table(
        {
            "user_id": pa.array([row.user for row in rows], pa.string()),
            "item_id": pa.array([row.item for row in rows], pa.string()),
            "event_timestamp": pa.array([row.instant for row in rows], INSTANT),
        }
    )


def newest_known(at: At, rows: list[Row], ttl: timedelta) -> float | None:
    """The oracle: look at every row, keep what was usable, take the newest, later rows over equal ones."""
    best: tuple[datetime, datetime, date, int] | None = None
    value = None
    for position, row in enumerate(rows):
        created = row.created or row.event
        if at.instant is None or None in (at.user, at.item) or (row.user, row.item) != (at.user, at.item):
            continue
        if row.event > at.instant or created > at.instant or (ttl and row.event < at.instant - ttl):
            continue
        rank = (row.event, created, row.event.date(), position)
        if best is None or rank > best:
            best, value = rank, row.value
    return value
