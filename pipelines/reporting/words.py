"""Numbers and days as people read them."""

from __future__ import annotations

from datetime import date

MINUS = "\u2212"


def count(number: int) -> str:
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """For example "1 day" and "1,000 days"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float | None, digits: int = 1) -> str:
    if share is None:
        return "n/a"
    smallest = 10.0**-digits
    if 0.0 < 100.0 * share < smallest:
        return f"< {smallest:.{digits}f}\u2009%"
    return f"{100.0 * share:.{digits}f}\u2009%"


def seconds(duration: float) -> str:
    """For example "0.4 s", "12 s" and "3 min 05 s"."""
    if duration < 10:
        return f"{duration:.1f} s"
    whole = round(duration)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def day(ds: date) -> str:
    """For example "8 May 2022"."""
    return f"{ds.day} {ds:%B %Y}"


def enumerated(names: list[str]) -> str:
    """For example "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
