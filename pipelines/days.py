"""Calendar days in UTC, the unit of every partition."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from pydantic import BaseModel, ConfigDict, model_validator

DAY = timedelta(days=1)


class Days(BaseModel):
    """A closed range of UTC days.

    Attributes:
        start, end: the first and the last day, both included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: date
    end: date

    @model_validator(mode="after")
    def _ordered(self) -> Days:
        if self.start > self.end:
            raise ValueError(f"the range starts on {self.start}, after its end {self.end}")
        return self

    @classmethod
    def one(cls, ds: date) -> Days:
        return cls(start=ds, end=ds)

    @classmethod
    def ending(cls, end: date, length: int) -> Days:
        """The `length` days up to and including `end`."""
        return cls(start=end - DAY * (length - 1), end=end)

    def __iter__(self) -> Iterator[date]:  # type: ignore[override]
        return (self.start + DAY * offset for offset in range(len(self)))

    def __len__(self) -> int:
        return (self.end - self.start).days + 1

    def __contains__(self, ds: date) -> bool:
        return self.start <= ds <= self.end

    def __str__(self) -> str:
        return str(self.start) if self.start == self.end else f"{self.start}..{self.end}"


def first_instant(ds: date) -> datetime:
    """00:00 UTC of `ds`."""
    return datetime.combine(ds, time(), tzinfo=UTC)


def snapshot_instant(ds: date) -> datetime:
    """The first instant after `ds`: the event_timestamp of its snapshot."""
    return first_instant(ds + DAY)
