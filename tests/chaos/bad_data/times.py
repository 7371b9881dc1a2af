"""Bad times: missing, unreadable, in other units and zones, of other days, before 1970 and far ahead."""

from __future__ import annotations

import pandas as pd

from tests.chaos.bad_data.days import DAY_MS, Day, csv, parquet
from tests.chaos.bad_data.kinds import Handled, Refused, Spoilt, kind
from tests.chaos.bad_data.values import QUARANTINE

NO_TIME = "a row without a usable time is quarantined with the day that most rows of its file lie on"
REASON = "the time is missing or unreadable"
FORMATS = "times are timestamps, dates, ISO 8601 text or numbers in `time_unit`; without a zone they are UTC"
OWN_DAY = "an event belongs to the UTC day it happened on, and waits for that day's ingest"


def unreadable(day: Day, values: tuple[str, ...]) -> Spoilt:
    spoilt = day.some(len(values))
    return csv(day.with_text("at", dict(zip(spoilt, values, strict=True)))), day.rows.drop(index=spoilt)


@kind("times that are missing", Handled(NO_TIME, quarantined=2, reason=REASON))
def _(day: Day) -> Spoilt:
    return unreadable(day, ("", " "))


@kind("most times are missing", Refused("events", (*QUARANTINE, REASON)))
def _(day: Day) -> Spoilt:
    return csv(day.with_text("at", dict.fromkeys(day.some(40), "")))


@kind("times before 1970", Handled(NO_TIME, quarantined=3, reason=REASON))
def _(day: Day) -> Spoilt:
    return unreadable(day, ("-1", "0", "1969-12-31T23:59:59Z"))


@kind("times after the year 9999", Handled(NO_TIME, quarantined=2, reason=REASON))
def _(day: Day) -> Spoilt:
    return unreadable(day, ("253402300800000", "1e30"))


@kind("days that no calendar has", Handled(NO_TIME, quarantined=3, reason=REASON))
def _(day: Day) -> Spoilt:
    return unreadable(day, ("2026-02-29T12:00:00Z", f"{day.ds}T25:00:00Z", f"{day.ds}T23:59:60Z"))


@kind("times of day without a day", Handled(NO_TIME, quarantined=3, reason=REASON))
def _(day: Day) -> Spoilt:
    return unreadable(day, ("10:30:00", "T10:30", "now"))


@kind("times that are words or infinite", Handled(NO_TIME, quarantined=3, reason=REASON))
def _(day: Day) -> Spoilt:
    return unreadable(day, ("yesterday", "NaN", "inf"))


@kind(
    "times in seconds where milliseconds are told",
    Refused("events", ("events", "DS", "0 rows", "times the usual")),
)
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(at=day.rows["at"] // 1000, seen=day.rows["seen"] // 1000))


@kind(
    "times in microseconds where milliseconds are told",
    Refused("ingest", ("FILE", "no row with a usable time")),
)
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(at=day.rows["at"] * 1000, seen=day.rows["seen"] * 1000))


def written(day: Day, pattern: str, zone: str = "UTC") -> pd.Series:
    instants = pd.to_datetime(day.rows["at"], unit="ms", utc=True).dt.tz_convert(zone)
    return instants.dt.strftime(pattern).str.replace(r"(\.\d{3})\d{3}", r"\1", regex=True)


@kind("times without a zone", Handled(FORMATS))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(at=written(day, "%Y-%m-%d %H:%M:%S.%f"))), day.rows


@kind("times in another zone", Handled(FORMATS))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(at=written(day, "%Y-%m-%dT%H:%M:%S.%f+05:30", "Asia/Kolkata"))), day.rows


@kind("times in a zone with a name, in Parquet", Handled(FORMATS))
def _(day: Day) -> Spoilt:
    instants = pd.to_datetime(day.rows["at"], unit="ms", utc=True).dt.tz_convert("America/New_York")
    return parquet(day.rows.assign(at=instants)), day.rows


@kind("times in nanoseconds, in Parquet", Handled(FORMATS))
def _(day: Day) -> Spoilt:
    return parquet(
        day.rows.assign(at=pd.to_datetime(day.rows["at"], unit="ms").astype("datetime64[ns]"))
    ), day.rows


@kind("times as floats", Handled(FORMATS))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(at=day.rows["at"].map("{:.12E}".format))), day.rows


@kind("times around midnight", Handled(OWN_DAY, spills=True))
def _(day: Day) -> Spoilt:
    rows = day.rows.copy()
    rows.loc[0, ["at", "seen"]] = [day.start, day.start]
    rows.loc[59, ["at", "seen"]] = [day.start + DAY_MS - 1, day.start + DAY_MS]
    beyond = rows.iloc[[0, 59]].assign(at=[day.start - 1, day.start + DAY_MS])
    return csv(pd.concat([beyond.assign(seen=beyond["at"]), rows])), rows


@kind("rows of the day before", Handled(OWN_DAY, spills=True))
def _(day: Day) -> Spoilt:
    late = day.rows.loc[day.some(9)]
    late = late.assign(at=late["at"] - DAY_MS)
    return csv(pd.concat([day.rows, late])), day.rows


@kind("times a year ahead", Handled(OWN_DAY))
def _(day: Day) -> Spoilt:
    ahead = day.rows.loc[day.some(9)]
    ahead = ahead.assign(at=ahead["at"] + 365 * DAY_MS, seen=ahead["seen"] + 365 * DAY_MS)
    return csv(pd.concat([day.rows, ahead])), day.rows


@kind("rows that arrived days later", Handled("no feature counts an event before it was learnt of"))
def _(day: Day) -> Spoilt:
    rows = day.rows.copy()
    rows.loc[day.some(9), "seen"] += 3 * DAY_MS
    return csv(rows), rows


@kind(
    "rows without an arrival time", Handled("without an arrival time an event was learnt of when it happened")
)
def _(day: Day) -> Spoilt:
    spoilt = day.some(9)
    rows = day.rows.copy()
    rows.loc[spoilt, "seen"] = rows.loc[spoilt, "at"]
    return csv(day.with_text("seen", dict.fromkeys(spoilt, ""))), rows


@kind(
    "arrival times that are words",
    Handled(
        "an arrival time that is there but unreadable puts its row into quarantine",
        quarantined=2,
        reason="created_timestamp is not readable",
    ),
)
def _(day: Day) -> Spoilt:
    spoilt = day.some()
    return csv(day.with_text("seen", dict.fromkeys(spoilt, "soon"))), day.rows.drop(index=spoilt)


@kind(
    "rows that arrived before they happened",
    Refused("events", ("events", "DS", "created_timestamp is not before event_timestamp", "2 of 60 rows")),
)
def _(day: Day) -> Spoilt:
    rows = day.rows.copy()
    rows.loc[day.some(), "seen"] -= 5000
    return csv(rows)
