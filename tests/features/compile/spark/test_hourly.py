"""Intraday rows against a brute-force oracle: at any instant, the newest row says what was true then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from features.declarations.entities import ITEM, SCENARIO, USER
from features.declarations.features import Role
from features.declarations.groups import Aggregate, FeatureGroup, SequenceGroup
from features.declarations.measures import Count, Trend
from features.declarations.windows import DAY, HOUR, hours
from tests.features.compile.spark.logs import (
    EVERY_MEASURE,
    FIRST,
    LAST,
    MICROSECOND,
    MIDNIGHT,
    Event,
    as_frame,
    features_of,
    logs,
    microseconds,
)

pytestmark = pytest.mark.spark

GROUP = FeatureGroup(
    "user_session",
    (USER,),
    (*EVERY_MEASURE, Trend(Count(), HOUR, HOUR * 6)),
    windows=hours(1, 30),
    role=Role.GENERAL,
    tile=HOUR,
)
SEQUENCE = SequenceGroup(
    "user_recent", (USER,), "click", (ITEM, SCENARIO), length=3, window=HOUR * 6, tile=HOUR
)
Row = tuple[datetime, tuple[Any, ...]]


def counted(events: list[Event], now: datetime, window: timedelta) -> list[Event]:
    """Events known at `now` that lie in its window, which begins on a whole hour."""
    begin = now.replace(minute=0, second=0, microsecond=0) - window
    return [event for event in events if event.event_timestamp >= begin and event.known <= now]


def true_at(group: Aggregate, events: list[Event], user: str, now: datetime) -> tuple[Any, ...]:
    mine = [event for event in events if event.user_id == user]
    windows = {window: counted(mine, now, window) for window in group.all_windows}
    if isinstance(group, FeatureGroup):
        return features_of(group, windows)
    positive = [event for event in windows[group.window] if event.label_click == 1]
    kept = sorted(positive, key=lambda event: event.order, reverse=True)[: group.length]
    return (
        [event.item_id or "" for event in kept],
        [event.scenario_id or "" for event in kept],
        [microseconds(event.event_timestamp) for event in kept],
    )


def rows_of(spark: Any, events: list[Event], group: Aggregate = GROUP) -> dict[str, list[Row]]:
    """Each user's rows, in order of time."""
    from features.compile.spark import snapshots, tiles

    frame = as_frame(spark, events)
    found: dict[str, list[Row]] = {}
    for row in snapshots(group, tiles(group, frame), frame, FIRST, LAST).collect():
        instant = row.event_timestamp.astimezone(UTC)
        assert row.created_timestamp == row.event_timestamp
        assert row.ds == (instant - MICROSECOND).date()
        values = tuple(row[feature.name] for feature in group.features)
        found.setdefault(row.user_id, []).append((instant, values))
    return {user: sorted(rows) for user, rows in found.items()}


def asked_instants(events: list[Event]) -> list[datetime]:
    """Around every event, and every whole hour and the middle of it."""
    end = MIDNIGHT + DAY * 6
    times = [event.event_timestamp for event in events] + [event.known for event in events]
    around = {time + shift for time in times for shift in (-MICROSECOND, timedelta(0), MICROSECOND)}
    hourly = {MIDNIGHT + HOUR * hour + shift for hour in range(6 * 24) for shift in (MICROSECOND, HOUR / 2)}
    return sorted(instant for instant in around | hourly if MIDNIGHT < instant <= end)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=logs)
@pytest.mark.parametrize("group", [GROUP, SEQUENCE], ids=["measures", "sequence"])
def test_newest_row_says_what_was_true_at_any_instant_of_any_log(
    spark: Any, group: Aggregate, events: list[Event]
) -> None:
    rows = rows_of(spark, events, group)
    nothing = true_at(group, [], "nobody", MIDNIGHT)
    for user in {event.user_id for event in events if event.user_id is not None}:
        own = rows.get(user, [])
        assert len({instant for instant, _ in own}) == len(own), "two rows at one instant"
        for now in asked_instants(events):
            newest = [values for instant, values in own if instant <= now]
            assert (newest[-1] if newest else nothing) == true_at(group, events, user, now), (user, now)


def event(at: timedelta, name: str = "e", late: timedelta = timedelta(0)) -> Event:
    happened = MIDNIGHT + at
    return Event(name, happened, happened + late, "a", "1", "x", 1, 2.0)


def impressions(spark: Any, events: list[Event]) -> list[tuple[timedelta, float]]:
    """When the user's impressions of the last hour change, and to what."""
    (rows,) = rows_of(spark, events).values()
    place = [feature.name for feature in GROUP.features].index("impressions_1h")
    return [(instant - MIDNIGHT, values[place]) for instant, values in rows]


def test_event_counts_one_microsecond_after_it_and_leaves_on_the_hour(spark: Any) -> None:
    at = timedelta(hours=5, minutes=20)
    changes = impressions(spark, [event(at)])
    assert changes[:2] == [(at + MICROSECOND, 1.0), (timedelta(hours=7), 0.0)]


def test_event_never_counts_itself_nor_another_of_its_instant(spark: Any) -> None:
    at = timedelta(hours=5, minutes=20)
    changes = impressions(spark, [event(at, "e1"), event(at, "e2")])
    assert changes[0] == (at + MICROSECOND, 2.0)


def test_late_event_counts_from_when_it_was_learnt_of(spark: Any) -> None:
    at, late = timedelta(hours=5, minutes=20), timedelta(hours=1)
    assert impressions(spark, [event(at, late=late)])[:2] == [(at + late, 1.0), (timedelta(hours=7), 0.0)]


def test_id_counts_in_a_window_that_only_its_second_event_lies_in(spark: Any) -> None:
    """The first, learnt of late, is too old for the last hour: what repeats it there is no repetition."""
    at = timedelta(hours=5, minutes=20)
    late = event(at - HOUR * 3, "e1", late=HOUR * 3 - timedelta(minutes=10))
    (rows,) = rows_of(spark, [late, event(at, "e2")]).values()
    places = [[f.name for f in GROUP.features].index(f"item_distinct_{window}") for window in ("1h", "30h")]
    found = {instant - MIDNIGHT: tuple(values[place] for place in places) for instant, values in rows}
    assert found[at - timedelta(minutes=10)] == (0.0, 1.0)
    assert found[at + MICROSECOND] == (1.0, 1.0)


def test_sequence_grows_by_an_event_a_microsecond_after_it_and_passes_over_negatives(spark: Any) -> None:
    at = timedelta(hours=5, minutes=20)
    ignored = replace(event(at + timedelta(minutes=1), "e2"), label_click=0)
    (rows,) = rows_of(spark, [event(at), ignored], SEQUENCE).values()
    happened = microseconds(MIDNIGHT + at)
    assert [(instant - MIDNIGHT, values) for instant, values in rows] == [
        (at + MICROSECOND, (["1"], ["x"], [happened])),
        (timedelta(hours=12), ([], [], [])),
    ]


def test_sequence_of_busy_hours_keeps_no_more_than_its_length(spark: Any) -> None:
    times = [timedelta(hours=5, minutes=5 * number) for number in range(20)]  # until 06:35
    (rows,) = rows_of(spark, [event(at, f"e{at}") for at in times], SEQUENCE).values()
    assert max(len(values[0]) for _, values in rows) == SEQUENCE.length
    newest = [microseconds(MIDNIGHT + at) for at in reversed(times[-3:])]
    assert (times[-1] + MICROSECOND, newest) in [(instant - MIDNIGHT, values[2]) for instant, values in rows]
