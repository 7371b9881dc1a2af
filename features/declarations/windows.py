"""Lengths of time that windows and tiles have: whole days or whole hours."""

from __future__ import annotations

from datetime import timedelta

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def hours(*lengths: int) -> tuple[timedelta, ...]:
    """Windows of so many hours each."""
    return tuple(HOUR * length for length in lengths)


def days(*lengths: int) -> tuple[timedelta, ...]:
    """Windows of so many days each."""
    return tuple(DAY * length for length in lengths)


def label(window: timedelta) -> str:
    """A window in a feature's name: "7d", "6h"."""
    return f"{window // DAY}d" if window % DAY == timedelta(0) else f"{window // HOUR}h"


def words(window: timedelta) -> str:
    """A window in a sentence: "7 days", "1 hour"."""
    unit, name = (DAY, "day") if window % DAY == timedelta(0) else (HOUR, "hour")
    return f"{window // unit} {name}{'' if window == unit else 's'}"


def last(window: timedelta) -> str:
    """A window that ends now, in a sentence: "the last 7 days", "the last hour"."""
    return f"the last {words(window).removeprefix('1 ')}"
