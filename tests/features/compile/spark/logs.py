"""Small random logs, with ties, late events and nulls, and what tiles and rows of them should say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st

from features.declarations.entities import ITEM
from features.declarations.groups import FeatureGroup
from features.declarations.measures import (
    Count,
    Distinct,
    Last,
    Max,
    Mean,
    Measure,
    Min,
    Rate,
    Sum,
    TimeSince,
    Trend,
)
from features.declarations.quantities import Quantity
from features.declarations.windows import DAY

MICROSECOND = timedelta(microseconds=1)
FIRST = date(2026, 1, 1)
LAST = date(2026, 1, 6)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = Quantity("seconds", low=0.0)
SCHEMA = (
    "event_id string, event_timestamp timestamp, created_timestamp timestamp, user_id string, "
    "item_id string, scenario_id string, label_click byte, seconds float, ds date"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the event table."""

    event_id: str
    event_timestamp: datetime
    created_timestamp: datetime
    user_id: str | None
    item_id: str | None
    scenario_id: str | None
    label_click: int | None
    seconds: float | None

    @property
    def ds(self) -> date:
        return self.event_timestamp.date()

    @property
    def known(self) -> datetime:
        """The first instant at which it may count."""
        return max(self.event_timestamp + MICROSECOND, self.created_timestamp)

    @property
    def order(self) -> tuple[datetime, str]:
        return self.event_timestamp, self.event_id


# Instants that meet, cross midnight and whole hours to the microsecond, or come hours and days late.
instants = st.builds(
    lambda hour, microseconds: MIDNIGHT + timedelta(hours=hour, microseconds=microseconds),
    st.integers(0, 6 * 24 - 1),
    st.sampled_from([0, 1, 1_800_000_000, 3_599_999_999]),
)
delays = st.sampled_from([timedelta(0)] * 6 + [MICROSECOND, timedelta(hours=2, minutes=5), DAY, DAY * 2])
_drawn = st.tuples(
    instants,
    delays,
    st.sampled_from(["a", "b", "a|b", "Ω", None]),
    st.sampled_from(["1", "2", "3", None]),
    st.sampled_from(["x", "y"]),
    st.sampled_from([0, 1, None]),
    st.sampled_from([None, 0.0, 0.1, 2.5, 1e6]),
)


def _events(drawn: list[list[Any]]) -> list[Event]:
    return [
        Event(
            f"e{number:03d}",
            instant,
            instant + delay,
            user and f"{user}{log}",
            item,
            scenario,
            click,
            seconds,
        )
        for log, rows in enumerate(drawn)
        for number, (instant, delay, user, item, scenario, click, seconds) in enumerate(rows)
    ]


# Several logs in one, each with users of its own: starting a Spark job costs more than running it.
logs = st.lists(st.lists(_drawn, max_size=30), min_size=8, max_size=8).map(_events)


def as_frame(spark: Any, events: Iterable[Event]) -> Any:
    names = [column.split()[0] for column in SCHEMA.split(", ")]
    return spark.createDataFrame([tuple(getattr(event, name) for name in names) for event in events], SCHEMA)


def days() -> list[date]:
    return [FIRST + DAY * offset for offset in range((LAST - FIRST).days + 1)]


def end_of(day: date) -> datetime:
    """The instant of a day's snapshot."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY


def key_of(group: Any, event: Event) -> tuple[str | None, ...]:
    return tuple(getattr(event, key.column) for key in group.keys)


def features_of(group: FeatureGroup, counted: dict[timedelta, list[Event]]) -> tuple[Any, ...]:
    """A group's features from the events in each of its windows; floats as float32."""
    return tuple(
        value if not isinstance(value, float) else float(np.float32(value))
        for value in (_value(measure, window, counted) for measure, window in group.measured_windows)
    )


def _value(measure: Measure, window: timedelta, counted: dict[timedelta, list[Event]]) -> Any:  # noqa: C901
    events = counted[window]
    labels = [event.label_click for event in events if event.label_click is not None]
    values = [np.float32(event.seconds) for event in events if event.seconds is not None]
    match measure:
        case Count():
            return float(len(events))
        case Sum(of):
            return float(sum(labels)) if isinstance(of, str) else _total(values)
        case Rate(_, prior, strength):
            return (sum(labels) + strength * prior) / (len(labels) + strength)
        case Mean():
            return _total(values) / len(values) if values else None
        case Min():
            return float(min(values, default=np.float32("nan"))) if values else None
        case Max():
            return float(max(values)) if values else None
        case Distinct():
            return float(len({event.item_id for event in events if event.item_id is not None}))
        case Last():
            seen = [event for event in events if event.item_id is not None]
            return max(seen, key=lambda event: event.order).item_id if seen else None
        case TimeSince(task):
            dated = [event.event_timestamp for event in events if task is None or event.label_click == 1]
            return microseconds(max(dated)) if dated else None
        case Trend(of, short, long, strength):
            recent, usual = (_value(of, span, counted) for span in (short, long))
            return (recent * (long / short) + strength) / (usual + strength)


def _total(values: list[np.float32]) -> float:
    return sum(round(float(value) * 1_000_000) for value in values) / 1_000_000


def microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND


EVERY_MEASURE: tuple[Measure, ...] = (
    Count(),
    Sum("click"),
    Sum(SECONDS),
    Rate("click", prior=0.25, strength=4.0),
    Mean(SECONDS, default=1.0),
    Min(SECONDS, default=0.0),
    Max(SECONDS, default=0.0),
    Distinct(ITEM),
    Last(ITEM),
    TimeSince(),
    TimeSince("click"),
)
