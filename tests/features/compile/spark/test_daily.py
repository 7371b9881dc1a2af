"""Daily snapshots against a brute-force oracle in plain Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.declarations.entities import ITEM, SCENARIO, USER
from features.declarations.features import Role
from features.declarations.groups import Aggregate, FeatureGroup, SequenceGroup
from features.declarations.measures import Count, Sum, Trend
from features.declarations.windows import DAY, days
from tests.features.compile.spark.logs import (
    EVERY_MEASURE,
    FIRST,
    LAST,
    MIDNIGHT,
    SECONDS,
    Event,
    as_frame,
    end_of,
    features_of,
    key_of,
    logs,
)
from tests.features.compile.spark.logs import days as log_days

pytestmark = pytest.mark.spark

GROUP = FeatureGroup(
    "user_scenario",
    (USER, SCENARIO),
    (
        *EVERY_MEASURE,
        Trend(Count(), DAY, DAY * 2, strength=3.0),
        Trend(Sum(SECONDS), DAY, DAY * 3),
    ),
    windows=days(1, 3),
    role=Role.SCENARIO,
)
SEQUENCE = SequenceGroup("user_positives", (USER,), "click", (ITEM, SCENARIO), length=3, window=DAY * 2)


def counted(events: list[Event], day: date, length: int) -> list[Event]:
    """What the snapshot of `day` knows of the `length` days that end with it."""
    first = day - DAY * (length - 1)
    return [event for event in events if first <= event.ds <= day and event.known <= end_of(day)]


def left_behind(events: list[Event], day: date, reach: int) -> list[Event]:
    """Events that some snapshot counted and that of `day` is the first not to."""
    gone = day - DAY * reach
    return [event for event in events if event.ds == gone and event.known <= end_of(day - DAY)]


def oracle(events: list[Event]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """(user, scenario, day) to its features, straight from the events."""
    expected = {}
    keyed = [event for event in events if None not in key_of(GROUP, event)]
    for day in log_days():
        told = [*counted(keyed, day, GROUP.reach), *left_behind(keyed, day, GROUP.reach)]
        for key in {key_of(GROUP, event) for event in told}:
            mine = [event for event in keyed if key_of(GROUP, event) == key]
            windows = {window: counted(mine, day, window // DAY) for window in GROUP.all_windows}
            expected[*key, day] = features_of(GROUP, windows)
    return expected


def sequence_oracle(events: list[Event]) -> dict[tuple[Any, ...], tuple[list[str], ...]]:
    """(user, day) to its newest positives, straight from the events."""
    expected = {}
    positive = [event for event in events if event.user_id is not None and event.label_click == 1]
    for day in log_days():
        told = [*counted(positive, day, SEQUENCE.reach), *left_behind(positive, day, SEQUENCE.reach)]
        for user in {event.user_id for event in told}:
            mine = [event for event in counted(positive, day, SEQUENCE.reach) if event.user_id == user]
            kept = sorted(mine, key=lambda event: event.order, reverse=True)[: SEQUENCE.length]
            expected[user, day] = (
                [event.item_id or "" for event in kept],
                [event.scenario_id or "" for event in kept],
            )
    return expected


def built(spark: Any, group: Aggregate, events: list[Event]) -> list[Any]:
    from features.compile.spark import snapshots, tiles

    frame = as_frame(spark, events)
    rows: list[Any] = snapshots(group, tiles(group, frame), frame, FIRST, LAST).collect()
    return rows


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=logs)
def test_snapshots_equal_measures_over_raw_events_for_any_log(spark: Any, events: list[Event]) -> None:
    rows = built(spark, GROUP, events)
    found = {
        (row.user_id, row.scenario_id, row.ds): tuple(row[feature.name] for feature in GROUP.features)
        for row in rows
    }
    assert len(found) == len(rows), "a key has two snapshots on one day"
    assert found == oracle(events)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=logs)
def test_sequences_hold_the_newest_positives_for_any_log(spark: Any, events: list[Event]) -> None:
    rows = built(spark, SEQUENCE, events)
    found = {(row.user_id, row.ds): (list(row.item_ids), list(row.scenario_ids)) for row in rows}
    assert found == sequence_oracle(events)


@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=logs, day=st.sampled_from(log_days()))
def test_a_snapshot_does_not_change_whatever_becomes_known_after_it(
    spark: Any, events: list[Event], day: date
) -> None:
    told = [event for event in events if event.known <= end_of(day)]
    for group in (GROUP, SEQUENCE):
        before, after = (
            sorted(tuple(row) for row in built(spark, group, log) if row.ds <= day) for log in (told, events)
        )
        assert before == after


def event(at: timedelta, late: timedelta = timedelta(0), **changes: Any) -> Event:
    happened = MIDNIGHT + at
    row = {"user_id": "a", "item_id": "1", "scenario_id": "x", "label_click": 1, "seconds": 1.0}
    return Event("e", happened, happened + late, **{**row, **changes})


def impressions(rows: list[Any]) -> dict[date, float]:
    return {row.ds: row.impressions_3d for row in rows}


def test_snapshot_carries_the_first_instant_after_its_day(spark: Any) -> None:
    rows = built(spark, GROUP, [event(timedelta(seconds=10))])
    first = min(rows, key=lambda row: row.ds)
    assert first.event_timestamp.astimezone(UTC) == datetime(2026, 1, 2, tzinfo=UTC)
    assert first.created_timestamp == first.event_timestamp


def test_snapshot_counts_the_last_microsecond_of_its_day_and_not_the_next(spark: Any) -> None:
    rows = built(spark, GROUP, [event(DAY - timedelta(microseconds=1)), event(DAY, item_id="2")])
    assert impressions(rows)[FIRST] == 1.0
    assert impressions(rows)[FIRST + DAY] == 2.0


def test_late_event_counts_from_the_snapshot_that_first_knows_it(spark: Any) -> None:
    rows = built(spark, GROUP, [event(timedelta(0), late=DAY * 2)])
    assert impressions(rows) == {FIRST + DAY: 1.0, FIRST + DAY * 2: 1.0, FIRST + DAY * 3: 0.0}


def test_key_is_told_with_zeros_once_when_its_last_event_leaves(spark: Any) -> None:
    rows = built(spark, GROUP, [event(timedelta(0))])
    assert impressions(rows) == {FIRST + DAY * n: float(n < 3) for n in range(4)}
    (last,) = (row for row in rows if row.ds == FIRST + DAY * 3)
    assert (last.seconds_mean_3d, last.item_last_3d, last.impression_last_time_3d) == (None, None, None)
    assert (last.item_distinct_3d, last.impressions_trend_1d_2d) == (0.0, 1.0)
