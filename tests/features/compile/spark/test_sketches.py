"""The sketch behind `Distinct`: how near it comes, and that neither order nor cuts change it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pyspark.sql import functions as sf

from features.declarations.entities import ITEM, USER
from features.declarations.features import Role
from features.declarations.groups import FeatureGroup
from features.declarations.measures import Distinct
from features.declarations.windows import DAY, HOUR, days, hours
from tests.features.compile.spark.logs import FIRST, MICROSECOND, MIDNIGHT, microseconds

pytestmark = pytest.mark.spark

GROUP = FeatureGroup("item_users", (ITEM,), (Distinct(USER),), windows=days(1, 2), role=Role.GENERAL)
INTRADAY = replace(GROUP, windows=hours(24), tile=HOUR)
EXACT = (1, 2, 500, 1_000, 1_023)
ESTIMATED = (1_024, 5_000, 10_000, 20_000, 50_000)
FEW_PERCENT = 0.07  # twice the standard error of 1,024 hashes


def seen(spark: Any, item: str, users: range, day: date = FIRST) -> Any:
    """Every one of the users sees the item on a day, twice."""
    when = sf.to_timestamp(sf.lit(day))
    return (
        spark.range(users.start, users.stop)
        .union(spark.range(users.start, users.stop))
        .select(
            sf.lit(item).alias("item_id"),
            sf.concat(sf.lit("u"), sf.col("id").cast("string")).alias("user_id"),
            when.alias("event_timestamp"),
            when.alias("created_timestamp"),
            sf.lit(day).alias("ds"),
        )
    )


def within_three_hours(spark: Any, users: int) -> Any:
    """Each of the users sees the item three times, some before and some after an hour turns."""
    instant = sf.timestamp_micros(
        sf.lit(microseconds(MIDNIGHT)) + sf.pmod(sf.xxhash64("user", "time"), sf.lit(3 * HOUR // MICROSECOND))
    )
    return (
        spark.range(users)
        .select(
            sf.col("id").cast("string").alias("user"),
            sf.explode(sf.array(*map(sf.lit, range(3)))).alias("time"),
        )
        .select(
            sf.lit("item").alias("item_id"),
            sf.col("user").alias("user_id"),
            instant.alias("event_timestamp"),
            instant.alias("created_timestamp"),
            sf.lit(FIRST).alias("ds"),
        )
    )


def together(frames: Iterable[Any]) -> Any:
    first, *others = frames
    for frame in others:
        first = first.unionByName(frame)
    return first


def intraday(events: Any) -> dict[datetime, float]:
    """Instant to the estimate over the 24 hours before it, wherever it changes."""
    from features.compile.spark import snapshots, tiles

    rows = snapshots(INTRADAY, tiles(INTRADAY, events), events, FIRST, FIRST).collect()
    return {row.event_timestamp.astimezone(UTC): row.user_distinct_1d for row in rows}


def estimates(events: Any, day: date) -> dict[str, tuple[float, float]]:
    """Item to its estimates over one and over two days."""
    from features.compile.spark import snapshots, tiles

    rows = snapshots(GROUP, tiles(GROUP, events), events, day, day).collect()
    return {row.item_id: (row.user_distinct_1d, row.user_distinct_2d) for row in rows}


def sketches(events: Any) -> list[tuple[Any, ...]]:
    from features.compile.spark import tiles

    return sorted(tuple(row) for row in tiles(GROUP, events).collect())


def test_count_is_exact_below_the_sketch_and_near_above(spark: Any) -> None:
    events = together(seen(spark, str(users), range(users)) for users in (*EXACT, *ESTIMATED))
    found = {int(item): values[0] for item, values in estimates(events, FIRST).items()}
    assert {users: found[users] for users in EXACT} == {users: float(users) for users in EXACT}
    for users in ESTIMATED:
        assert found[users] == pytest.approx(users, rel=FEW_PERCENT)


def test_sketch_is_the_same_however_events_are_ordered_and_cut(spark: Any) -> None:
    events = together(seen(spark, str(users), range(users)) for users in (3, 1_500, 6_000)).cache()
    as_drawn = sketches(events)
    assert [len(sketch[-1]) for sketch in as_drawn] == [1024, 3, 1024]
    assert all(list(sketch[-1]) == sorted(sketch[-1]) for sketch in as_drawn)
    shuffled = events.orderBy(sf.xxhash64("user_id", sf.lit(7)))
    for cut in (events.coalesce(1), events.repartition(7), shuffled.repartition(3, "user_id"), shuffled):
        assert sketches(cut) == as_drawn
    events.unpersist()


def test_a_task_keeps_the_smallest_hashes_alone_before_it_sends_them(spark: Any) -> None:
    from features.compile.spark import tiles

    plan = str(tiles(GROUP, seen(spark, "1", range(5_000)))._jdf.queryExecution().executedPlan().toString())
    assert "row_number(), 1024, Partial" in plan


def test_merged_days_have_the_sketch_of_all_their_events(spark: Any) -> None:
    second = FIRST + DAY
    overlapping = {"few": ((0, 400), (200, 700)), "many": ((0, 6_000), (3_000, 9_000))}
    apart = together(
        seen(spark, item, range(*users), day)
        for item, ranges in overlapping.items()
        for users, day in zip(ranges, (FIRST, second), strict=True)
    )
    at_once = together(
        seen(spark, item, range(*users), second) for item, ranges in overlapping.items() for users in ranges
    )
    merged, whole = estimates(apart, second), estimates(at_once, second)
    assert {item: two for item, (_, two) in merged.items()} == {item: one for item, (one, _) in whole.items()}
    assert whole["few"][0] == 700.0


def test_intraday_rows_count_the_ids_known_by_then_past_the_size_of_a_sketch(spark: Any) -> None:
    events = within_three_hours(spark, 2_400).cache()
    found = intraday(events)
    for hour in (0.2, 0.9, 1, 1.5, 2.999):
        before = [instant for instant in found if instant <= MIDNIGHT + HOUR * hour]
        known = events.where(sf.unix_micros("event_timestamp") < microseconds(max(before)))
        (by_day, _) = estimates(known, FIRST)["item"]
        assert found[max(before)] == by_day
    events.unpersist()
