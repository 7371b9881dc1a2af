"""Late logs: which ingested days the raw log holds other rows of than when they were ingested."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.counts import read_counts
from pipelines.datasets.find import find_adapter
from pipelines.datasets.tables import RawTables, event_columns
from pipelines.days import Days
from pipelines.files import write_whole
from pipelines.lake import Lake
from pipelines.observing.console import stage
from pipelines.raw_days import fingerprint, rows_of_days, tally
from pipelines.settings import Settings
from pipelines.spark.session import spark_session


class Late(BaseModel):
    """The days to be run again.

    Attributes:
        days: ingested days whose rows in the raw log have changed, ascending.
        since, until: the first of them and the newest ingested day; None when there are none. The days
            between them have windows that may hold a late day, and the newest is the one to serve.
        fingerprint: 16 hex digits that stand for the rows that were found: found again, they are the
            same, so that whoever runs the days again can tell that it was done before.
    """

    model_config = ConfigDict(frozen=True)

    days: tuple[date, ...] = ()
    since: date | None = None
    until: date | None = None
    fingerprint: str = ""


class _Seen(BaseModel):
    """What the raw log came to when it was last read: its files' hashes, and a fingerprint of each day."""

    inputs: dict[str, str]
    days: dict[date, tuple[int, str]]


def find_late(settings: Settings) -> Late:
    """Compare what the raw log holds of every ingested day with what was ingested.

    Files are hashed first. Nothing else is read while they are those of the last look, which is kept in
    runs/DATASET/raw_days.json. A day counts as late by its rows, not by its files: a file that was
    renamed, split, sorted or joined by a later day's makes none late, unless rows of it without a usable
    time go to another day by that.

    Raises:
        RawDataError: a raw file is missing or not in shape.
    """
    lake = Lake(settings.lake)
    ingested = lake.days("events")
    if not ingested:
        return Late()
    days = Days(start=ingested[0], end=ingested[-1])
    with stage(settings, "late", days) as facts:
        raw = find_adapter(settings.dataset)(spark_session(settings), settings, days)
        seen = _look(settings, raw, days)
        late = [ds for ds in ingested if _changed(lake, ds, seen.days.get(ds, (0, fingerprint([]))))]
        facts["late"] = [str(ds) for ds in late]
    if not late:
        return Late()
    found = json.dumps([[str(ds), seen.days.get(ds)] for ds in late])
    return Late(
        days=tuple(late),
        since=late[0],
        until=ingested[-1],
        fingerprint=hashlib.sha256(found.encode()).hexdigest()[:16],
    )


def _changed(lake: Lake, ds: date, now: tuple[int, str]) -> bool:
    """Whether a day's rows are others than were ingested; by their number where there is no fingerprint."""
    then = read_counts(lake, ds)
    return (then.rows, then.fingerprint or now[1]) != now


def _look(settings: Settings, raw: RawTables, days: Days) -> _Seen:
    """The days of the raw log as they are now, from the last look where its files have not changed."""
    path = settings.runs / "raw_days.json"
    inputs = {**raw.inputs, "days": str(days)}
    try:
        last = _Seen.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        last = None
    if last is not None and last.inputs == inputs:
        return last
    by_day: dict[date, list[Any]] = defaultdict(list)
    with rows_of_days(raw.events, days) as rows:
        for row in tally(rows, event_columns(settings.catalog)):
            by_day[row["ds"]].append(row)
    seen = _Seen(
        inputs=inputs,
        days={ds: (sum(row["rows"] for row in of_day), fingerprint(of_day)) for ds, of_day in by_day.items()},
    )
    write_whole(path, seen.model_dump_json(indent=1) + "\n")
    return seen
