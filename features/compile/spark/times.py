"""When an event is known, and integer arithmetic on instants.

An event counts from the first instant after it happened, and not before it was learnt of: what is
asked at the instant of an event never knows the event itself. Instants are microseconds since 1970.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pyspark.sql import Column
from pyspark.sql import functions as sf

from features.declarations.windows import HOUR

MICROSECOND = timedelta(microseconds=1)
HOUR_MICROSECONDS = HOUR // MICROSECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def known_instant() -> Column:
    """The first instant at which the event may count."""
    return sf.greatest(sf.unix_micros("event_timestamp") + 1, sf.unix_micros("created_timestamp"))


def day_ending_at_or_after(instant: Column) -> Column:
    """The UTC day in (start, end] of which an instant lies: midnight ends a day, as a snapshot does."""
    return sf.to_date(sf.timestamp_micros(instant - 1))


def hour_of(instant: Column) -> Column:
    """Whole hours since 1970; the hour an instant lies in, its start included."""
    return sf.call_function("div", instant, sf.lit(HOUR_MICROSECONDS))


def hour_ending_at_or_after(instant: Column) -> Column:
    """The first whole hour at or after an instant."""
    return hour_of(instant - 1) + 1


def start_of(day: date) -> int:
    """00:00 UTC of a day."""
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // MICROSECOND
