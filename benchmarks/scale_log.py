"""A log of any length, drawn by hashing in DuckDB straight into a lake's partitions."""

from __future__ import annotations

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
            SELECT range AS nth, {at} + (h('time') * 86400000000)::BIGINT AS at,
                h('user') AS user, h('item') AS item, h('scenario') AS scenario, h('dwell') AS dwell,
                h('click') < 0.1 + 0.3 * h('item') AS click
            FROM range({rows})
        )
        SELECT '{ds}-' || nth AS event_id,
            make_timestamptz(at) AS event_timestamp, make_timestamptz(at) AS created_timestamp,
            'u' || floor(user * user * {users})::BIGINT AS user_id,
            'i' || floor(item * item * {items})::BIGINT AS item_id,
            's' || floor(scenario * scenario * {scenarios})::BIGINT AS scenario_id,
            click::TINYINT AS label_click,
            (-ln(1 - dwell) * CASE WHEN click THEN 20 ELSE 1.5 END)::FLOAT AS dwell_seconds
        FROM drawn ORDER BY at, nth
    ) TO '{path}' (FORMAT parquet, COMPRESSION snappy)
"""
# A number in [0, 1) that follows from the day, the event's place in it and what it is drawn for.
_DRAW = "CREATE OR REPLACE MACRO h(what) AS (hash(range, {day}, what) >> 11)::DOUBLE * pow(2, -53)"


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
                at = (ds - date(1970, 1, 1)).days * 86_400_000_000
                database.execute(_LOG.format(at=at, rows=rows_a_day, ds=ds, path=path, **sizes))
                manifest = lake.publish("events", ds, [path], {})
            passed = Verdict(table="events", ds=str(ds), content=manifest.content, passed=True, checks=1)
            write_verdict(lake, passed)


def day(number: int) -> date:
    """The n-th day of the log, from 1."""
    return FIRST + DAY * (number - 1)
