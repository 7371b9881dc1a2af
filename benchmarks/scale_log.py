"""A log of any length, drawn by hashing in DuckDB straight into a lake's partitions."""

from __future__ import annotations

import os
import shutil
from datetime import date
from functools import cached_property

import duckdb

from features.declarations.catalog import Catalog, Service, Task, Volume
from features.declarations.engagement import activity, engagement
from features.declarations.entities import ITEM, SCENARIO, USER
from features.declarations.groups import SequenceGroup
from features.declarations.quantities import Quantity
from features.declarations.windows import DAY, days
from pipelines.days import Days
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.verdicts import Verdict, write_verdict

FIRST = date(2026, 1, 1)
CLICK = Task("click", prior=0.25)
DWELL = Quantity("dwell_seconds", low=0.0)
WINDOWS = days(1, 3, 7)
CATALOG = Catalog(
    dataset="simulated",
    tasks=(CLICK,),
    entities=(USER, ITEM, SCENARIO),
    views=(
        engagement((USER,), (CLICK,), WINDOWS),
        engagement((ITEM,), (CLICK,), WINDOWS),
        engagement((USER, SCENARIO), (CLICK,), WINDOWS),
        next(group for group in activity((CLICK,), WINDOWS, ((DWELL, 5.0),)) if group.keys == (ITEM,)),
        SequenceGroup("user_positives", (USER,), "click", (ITEM, SCENARIO), length=20, window=WINDOWS[-1]),
    ),
    services=(Service("ranker_v1", ("user_engagement",)),),
    volume=Volume(min_ratio=0.1, max_ratio=5.0),
    quantities=(DWELL,),
)
_LOG = """
    COPY (
        WITH drawn AS (
            SELECT nth, {midnight} + (h(nth, 'time') * 86400000000)::BIGINT AS happened,
                h(nth, 'user') AS user, h(nth, 'item') AS item,
                h(nth, 'scenario') AS scenario, h(nth, 'dwell') AS dwell,
                h(nth, 'click') < 0.1 + 0.3 * h(nth, 'item') AS click
            FROM range({rows}) AS log(nth)
        )
        SELECT '{ds}-' || nth AS event_id,
            make_timestamptz(happened) AS event_timestamp, make_timestamptz(happened) AS created_timestamp,
            'u' || floor(user * user * {users})::BIGINT AS user_id,
            'i' || floor(item * item * {items})::BIGINT AS item_id,
            's' || floor(scenario * scenario * {scenarios})::BIGINT AS scenario_id,
            click::TINYINT AS label_click,
            (-ln(1 - dwell) * CASE WHEN click THEN 20 ELSE 1.5 END)::FLOAT AS dwell_seconds
        FROM drawn ORDER BY happened, nth
    ) TO '{path}' (FORMAT parquet, COMPRESSION snappy)
"""
# A number in [0, 1) that follows from the day, the event's place in it and what it is drawn for.
_DRAW = "CREATE OR REPLACE MACRO h(nth, what) AS (hash(nth, {day}, what) >> 11)::DOUBLE * pow(2, -53)"


class LogSettings(Settings):
    """Settings of a lake that has this log and is aggregated by its few groups."""

    @cached_property
    def catalog(self) -> Catalog:
        return CATALOG


def write_log(lake: Lake, log: Days, rows_a_day: int) -> None:
    """Write validated events; small numbers of users, items and scenarios come up most."""
    sizes = {
        "users": max(100, int(rows_a_day * 0.6)),
        "items": max(20, rows_a_day // 17),
        "scenarios": 10,
    }
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        for ds in log:
            day = ds.toordinal()
            database.execute(_DRAW.format(day=day))
            with lake.staging() as staged:
                path = staged / "log.parquet"
                midnight = (ds - date(1970, 1, 1)).days * 86_400_000_000
                database.execute(_LOG.format(midnight=midnight, rows=rows_a_day, ds=ds, path=path, **sizes))
                manifest = lake.publish("events", ds, [path], {})
            _pass(lake, ds, manifest.content)


def link_days(source: Lake, target: Lake, linked: Days) -> None:
    """Let `target` have the events and tiles of some days of `source`, without a second copy."""
    for ds in linked:
        for table in ("events", *(f"tiles/{group.name}" for group in CATALOG.aggregates)):
            shutil.copytree(source.folder(table, ds), target.folder(table, ds), copy_function=os.link)
        _pass(target, ds, source.manifest("events", ds).content)


def _pass(lake: Lake, ds: date, content: str) -> None:
    write_verdict(lake, Verdict(table="events", ds=str(ds), content=content, passed=True, checks=1))


def day(number: int) -> date:
    """The n-th day of the log, from 1."""
    return FIRST + DAY * (number - 1)
