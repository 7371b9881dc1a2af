"""Intraday rows against a brute-force oracle: at any instant, the newest row says what was true then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from features.declarations.entities import USER
from features.declarations.features import Role
from features.declarations.groups import FeatureGroup
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
Row = tuple[datetime, tuple[Any, ...]]


def counted(events: list[Event], now: datetime, window: timedelta) -> list[Event]:
    """Events known at `now` that lie in its window, which begins on a whole hour."""
    begin = now.replace(minute=0, second=0, microsecond=0) - window
    return [event for event in events if event.event_timestamp >= begin and event.known <= now]


def true_at(events: list[Event], user: str, now: datetime) -> tuple[Any, ...]:
    mine = [event for event in events if event.user_id == user]
    return features_of(GROUP, {window: counted(mine, now, window) for window in GROUP.all_windows})


def rows_of(spark: Any, events: list[Event]) -> dict[str, list[Row]]:
    """Each user's rows, in order of time."""
    from features.compile.spark import snapshots, tiles

    frame = as_frame(spark, events)
    found: dict[str, list[Row]] = {}
    for row in snapshots(GROUP, tiles(GROUP, frame), frame, FIRST, LAST).collect():
        instant = row.event_timestamp.astimezone(UTC)
        assert row.created_timestamp == row.event_timestamp
        assert row.ds == (instant - MICROSECOND).date()
        values = tuple(row[feature.name] for feature in GROUP.features)
        found.setdefault(row.user_id, []).append((instant, values))
    return {user: sorted(rows) for user, rows in found.items()}


def asked_instants(events: list[Event]) -> list[datetime]:
    """Around every event, and every whole hour and the middle of it."""
    end = MIDNIGHT + DAY * 6
    times = [event.event_timestamp for event in events] + [event.known for event in events]
    around = {time + shift for time in times for shift in (-MICROSECOND, timedelta(0), MICROSECOND)}
    hourly = {MIDNIGHT + HOUR * hour + shift for hour in range(6 * 24) for shift in (MICROSECOND, HOUR / 2)}
    return sorted(instant for instant in around | hourly if MIDNIGHT < instant <= end)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=logs)
def test_newest_row_says_what_was_true_at_any_instant_of_any_log(spark: Any, events: list[Event]) -> None:
    rows = rows_of(spark, events)
    nothing = features_of(GROUP, {window: [] for window in GROUP.all_windows})
    for user in {event.user_id for event in events if event.user_id is not None}:
        own = rows.get(user, [])
        assert len({instant for instant, _ in own}) == len(own), "two rows at one instant"
        for now in asked_instants(events):
            newest = [values for instant, values in own if instant <= now]
            assert (newest[-1] if newest else nothing) == true_at(events, user, now), (user, now)


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
