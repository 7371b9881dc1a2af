"""Read the request log: what was asked on a day, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from features.serving.served import Served


class Answered(BaseModel):
    """One logged request; R of its rows.

    Attributes:
        asked: when, by the wall clock, UTC.
        service: the feature service.
        instant: the instant that ages were judged at, UTC.
        size: rows that were asked for, of which R are logged.
        degraded: the store was away; nothing else is known.
        served: the snapshot that the values are of.
        ids: entity and context columns, R values each.
        features: the service's columns, R values each, None where there is none.
        stale: view to which of the R rows were emptied because they were too old.
    """

    model_config = ConfigDict(frozen=True)

    asked: datetime
    service: str
    instant: datetime
    size: int
    degraded: bool
    served: Served | None = None
    ids: dict[str, list[str | None]] = {}
    features: dict[str, list[Any]] = {}
    stale: dict[str, list[int]] = {}

    @property
    def rows(self) -> int:
        """R."""
        return len(next(iter(self.ids.values()), []))


class DayLog:
    """A day's logged requests, of all processes, in order of files and lines.

    Attributes:
        unreadable: lines passed so far that are not whole; a killed process leaves one.
    """

    def __init__(self, folder: Path, ds: date) -> None:
        self._folder = folder / f"ds={ds}"
        self.unreadable = 0

    def __iter__(self) -> Iterator[Answered]:
        self.unreadable = 0
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as stream:
                for line in stream:
                    try:
                        yield Answered.model_validate(json.loads(line))
                    except ValueError:
                        self.unreadable += 1


def logged_days(folder: Path) -> list[date]:
    """Days on which anything was logged, ascending."""
    return sorted({date.fromisoformat(path.parent.name[3:]) for path in folder.glob("ds=*/*.jsonl")})
