"""Tiles and snapshots against a brute-force oracle in plain Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.declarations.entities import ITEM, SCENARIO, USER
from features.declarations.features import Role
from features.declarations.groups import Count, FeatureGroup, Rate, SequenceGroup, Sum

pytestmark = pytest.mark.spark

FIRST = date(2026, 1, 1)
LAST = date(2026, 1, 6)
GROUP = FeatureGroup(
    "user_scenario_engagement",
    (USER, SCENARIO),
    (Count(), Sum("click"), Rate("click", prior=0.25, strength=4.0)),
    windows=(1, 3),
    role=Role.SCENARIO,
)
SEQUENCE = SequenceGroup("user_positives", (USER,), "click", (ITEM, SCENARIO), length=3, window=2)

Event = dict[str, Any]
events = st.lists(
    st.fixed_dictionaries(
        {
            "second": st.integers(0, 6 * 86_400 - 1) | st.sampled_from([0, 86_399, 86_400]),
            "user_id": st.sampled_from(["a", "b", "a|b", "Ω"]) | st.none(),
            "item_id": st.sampled_from(["1", "2", "3"]),
            "scenario_id": st.sampled_from(["x", "y"]),
            "label_click": st.sampled_from([0, 1, None]),
        }
    ),
    max_size=40,
)


def complete(drawn: list[Event]) -> list[Event]:
    """Give the drawn events an id, their instant and their day."""
    rows = []
    for number, event in enumerate(drawn):
        instant = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=event["second"])
        rows.append({**event, "event_id": f"e{number:03d}", "event_timestamp": instant, "ds": instant.date()})
    return rows


def as_frame(spark: Any, rows: list[Event]) -> Any:
    schema = (
        "user_id string, item_id string, scenario_id string, label_click byte, "
        "event_id string, event_timestamp timestamp, ds date"
    )
    names = [column.split()[0] for column in schema.split(", ")]
    return spark.createDataFrame([tuple(row[name] for name in names) for row in rows], schema)


def snapshot_days() -> list[date]:
    return [FIRST + timedelta(days=offset) for offset in range((LAST - FIRST).days + 1)]


def window_of(rows: list[Event], day: date, length: int) -> list[Event]:
    """Events of the `length` days that end with `day`."""
    return [row for row in rows if day - timedelta(days=length) < row["ds"] <= day]


def engagement_oracle(rows: list[Event]) -> dict[tuple[Any, ...], tuple[float, ...]]:
    """(user, scenario, day) to its features, straight from the events."""
    expected = {}
    keyed = [row for row in rows if row["user_id"] is not None]
    longest = GROUP.windows[-1]
    for day in snapshot_days():
        # One day more than the longest window: a key that just left it is told so with zeros.
        for key in {(row["user_id"], row["scenario_id"]) for row in window_of(keyed, day, longest + 1)}:
            values: list[float] = []
            for length in GROUP.windows:
                mine = [
                    row
                    for row in window_of(keyed, day, length)
                    if (row["user_id"], row["scenario_id"]) == key
                ]
                positives = sum(row["label_click"] == 1 for row in mine)
                labelled = sum(row["label_click"] is not None for row in mine)
                values += [len(mine), positives, (positives + 4.0 * 0.25) / (labelled + 4.0)]
            expected[(*key, day)] = tuple(float(np.float32(value)) for value in values)
    return expected


def sequence_oracle(rows: list[Event]) -> dict[tuple[Any, ...], tuple[list[str], ...]]:
    """(user, day) to its newest positives, straight from the events."""
    expected = {}
    positive = [row for row in rows if row["user_id"] is not None and row["label_click"] == 1]
    for day in snapshot_days():
        for user in {row["user_id"] for row in window_of(positive, day, SEQUENCE.window + 1)}:
            mine = [row for row in window_of(positive, day, SEQUENCE.window) if row["user_id"] == user]
            mine.sort(key=lambda row: (row["event_timestamp"], row["event_id"]), reverse=True)
            kept = mine[: SEQUENCE.length]
            expected[user, day] = ([row["item_id"] for row in kept], [row["scenario_id"] for row in kept])
    return expected


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=events)
def test_snapshots_equal_sums_over_raw_events_for_any_log(spark: Any, drawn: list[Event]) -> None:
    from features.compile.spark import snapshots, tiles

    rows = complete(drawn)
    built = snapshots(GROUP, tiles(GROUP, as_frame(spark, rows)), FIRST, LAST).collect()
    found = {
        (row.user_id, row.scenario_id, row.ds): tuple(row[feature.name] for feature in GROUP.features)
        for row in built
    }
    assert len(found) == len(built), "a key has two snapshots on one day"
    assert found == engagement_oracle(rows)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=events)
def test_sequences_hold_the_newest_positives_for_any_log(spark: Any, drawn: list[Event]) -> None:
    from features.compile.spark import snapshots, tiles

    rows = complete(drawn)
    built = snapshots(SEQUENCE, tiles(SEQUENCE, as_frame(spark, rows)), FIRST, LAST).collect()
    found = {(row.user_id, row.ds): (list(row.item_ids), list(row.scenario_ids)) for row in built}
    assert found == sequence_oracle(rows)


def test_snapshot_carries_the_first_instant_after_its_day(spark: Any) -> None:
    from features.compile.spark import snapshots, tiles

    rows = complete([{"second": 10, "user_id": "a", "item_id": "1", "scenario_id": "x", "label_click": 1}])
    built = snapshots(GROUP, tiles(GROUP, as_frame(spark, rows)), FIRST, FIRST).collect()
    assert [row.event_timestamp.astimezone(UTC) for row in built] == [datetime(2026, 1, 2, tzinfo=UTC)]


def test_snapshot_never_counts_a_later_day(spark: Any) -> None:
    from features.compile.spark import snapshots, tiles

    event = {"user_id": "a", "item_id": "1", "scenario_id": "x", "label_click": 1}
    rows = complete([{**event, "second": 86_399}, {**event, "second": 86_400}])
    built = snapshots(GROUP, tiles(GROUP, as_frame(spark, rows)), FIRST, FIRST).collect()
    assert [row.impressions_3d for row in built] == [1.0]


def test_plans_run_no_python_on_rows(spark: Any) -> None:
    from features.compile.spark import snapshots, tiles

    for group in (GROUP, SEQUENCE):
        frame = snapshots(group, tiles(group, as_frame(spark, [])), FIRST, LAST)
        plan = frame._jdf.queryExecution().executedPlan().toString()
        assert "Python" not in plan
