"""A backfill equals its days, a rerun changes nothing, a correction reaches every snapshot it touches."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.days import DAY, Days
from pipelines.errors import MissingPartitionError, NotValidatedError
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.verdicts import Verdict, write_verdict
from tests.homes import TINY, make_home

pytestmark = [pytest.mark.spark, pytest.mark.slow]

FIRST = date(2026, 1, 1)
WEEK = Days(start=FIRST, end=FIRST + DAY * 5)
Event = tuple[str, str, str, int | None]


def put_events(
    settings: Settings,
    ds: date,
    events: Iterable[Event],
    passed: bool = True,
    late: Sequence[Event] = (),
    learnt: timedelta = DAY * 2,
) -> None:
    """Publish a day of (user, item, scenario, click) events and its gate's verdict.

    `late` ones were learnt of so much later than they happened.
    """
    lake = Lake(settings.lake)
    rows = [*events, *late]
    instants = [
        datetime(ds.year, ds.month, ds.day, tzinfo=UTC) + timedelta(minutes=n) for n in range(len(rows))
    ]
    on_time = len(rows) - len(late)
    created = [*instants[:on_time], *(instant + learnt for instant in instants[on_time:])]
    stamp, text = pa.timestamp("us", "UTC"), pa.string()
    table = pa.table(
        {
            "event_id": pa.array([f"{ds}/{number}" for number in range(len(rows))], text),
            "event_timestamp": pa.array(instants, stamp),
            "created_timestamp": pa.array(created, stamp),
            "user_id": pa.array([row[0] for row in rows], text),
            "item_id": pa.array([row[1] for row in rows], text),
            "scenario_id": pa.array([row[2] for row in rows], text),
            "author_id": pa.array([f"author of {row[1]}" for row in rows], text),
            "label_click": pa.array([row[3] for row in rows], pa.int8()),
            "label_like": pa.array([0 for _ in rows], pa.int8()),
            "dwell_seconds": pa.array([1.5 for _ in rows], pa.float32()),
            "hour": pa.array(["0" for _ in rows], text),
        }
    )
    with lake.staging() as staged:
        pq.write_table(table, staged / "0.parquet")
        manifest = lake.publish("events", ds, [staged / "0.parquet"], {})
    write_verdict(
        lake,
        Verdict(table="events", ds=str(ds), content=manifest.content, passed=passed, checks=1, failures=()),
    )


def put_profiles(settings: Settings) -> None:
    lake = Lake(settings.lake)
    for profile in settings.catalog.profiles:
        columns: dict[str, Any] = {profile.keys[0].column: ["u1", "u2"]}
        columns |= {feature.name: pa.array([0.5, 1.5], pa.float32()) for feature in profile.columns}
        columns |= {link.column: ["a1", "a2"] for link in profile.links}
        with lake.staging() as staged:
            pq.write_table(pa.table(columns), staged / "0.parquet")
            lake.publish(profile.table, None, [staged / "0.parquet"], {})


def events_of(ds: date) -> list[Event]:
    """A few events that differ from day to day."""
    number = (ds - FIRST).days
    return [("u1", f"i{number}", "s1", 1), ("u2", "i0", "s2", 0), ("u2", f"i{number % 2}", "s1", None)]


@pytest.fixture
def settings(simulated_settings: Settings, spark: Any) -> Settings:
    put_profiles(simulated_settings)
    for ds in WEEK:
        put_events(simulated_settings, ds, events_of(ds))
    return simulated_settings


@pytest.fixture(scope="module")
def aggregate() -> Callable[[Settings, Days], None]:
    from pipelines.aggregate import aggregate

    return aggregate


Aggregate = Callable[[Settings, Days], None]


@pytest.fixture(scope="module")
def first_aggregation(spark: Any, aggregate: Aggregate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose week has been aggregated once, to be copied."""
    home = make_home(tmp_path_factory.mktemp("week"), "simulated", datasets={"simulated": TINY})
    settings = Settings(home=home, raw=None)
    put_profiles(settings)
    for ds in WEEK:
        put_events(settings, ds, events_of(ds))
    aggregate(settings, WEEK)
    return settings.lake


@pytest.fixture
def aggregated(simulated_settings: Settings, first_aggregation: Path) -> Settings:
    """The week, aggregated, in a home of the test's own."""
    shutil.copytree(first_aggregation, simulated_settings.lake)
    return simulated_settings


def files_of(settings: Settings, *tables: str) -> dict[str, bytes]:
    """Every file under the lake's `tables`, by path."""
    return {
        str(path.relative_to(settings.lake)): path.read_bytes()
        for table in tables
        for path in sorted((settings.lake / table).rglob("*"))
        if path.is_file()
    }


def impressions(settings: Settings, ds: date, user: str) -> list[float]:
    """impressions_1d and _7d of a user in the snapshot of `ds`."""
    lake = Lake(settings.lake)
    table = pq.read_table(lake.files("features/user_engagement", Days.one(ds)))
    row = next(row for row in table.to_pylist() if row["user_id"] == user)
    return [row["impressions_1d"], row["impressions_7d"]]


def test_backfill_equals_its_days_one_by_one(aggregated: Settings, aggregate: Aggregate) -> None:
    together = files_of(aggregated, "tiles", "features")
    for path in together:
        (aggregated.lake / path).unlink()
    for ds in WEEK:
        aggregate(aggregated, Days.one(ds))
    assert files_of(aggregated, "tiles", "features") == together


def test_rerun_gives_identical_bytes(aggregated: Settings, aggregate: Aggregate) -> None:
    before = files_of(aggregated, "tiles", "features")
    aggregate(aggregated, Days(start=FIRST + DAY, end=FIRST + DAY * 2))
    assert files_of(aggregated, "tiles", "features") == before


def test_correction_reaches_the_later_snapshots(aggregated: Settings, aggregate: Aggregate) -> None:
    assert impressions(aggregated, WEEK.end, "u1") == [1.0, 6.0]
    put_events(aggregated, FIRST, [*events_of(FIRST), ("u1", "i9", "s1", 1)])
    aggregate(aggregated, Days.one(FIRST))
    assert impressions(aggregated, FIRST, "u1") == [2.0, 2.0]
    assert impressions(aggregated, WEEK.end, "u1") == [1.0, 7.0]


def test_correction_is_not_lost_when_killed_between_tiles_and_snapshots(
    aggregated: Settings, aggregate: Aggregate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_events(aggregated, FIRST, [*events_of(FIRST), ("u1", "i9", "s1", 1)])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.aggregate.snapshots", killed)
        with pytest.raises(KeyboardInterrupt):
            aggregate(aggregated, Days.one(FIRST))
    aggregate(aggregated, Days.one(FIRST))
    assert impressions(aggregated, WEEK.end, "u1") == [1.0, 7.0]


def test_day_that_failed_its_gate_is_refused(settings: Settings, aggregate: Aggregate) -> None:
    put_events(settings, FIRST, events_of(FIRST), passed=False)
    with pytest.raises(NotValidatedError, match="2026-01-01"):
        aggregate(settings, WEEK)


def test_day_that_was_never_ingested_is_named(settings: Settings, aggregate: Aggregate) -> None:
    with pytest.raises(MissingPartitionError, match="gatehouse ingest --ds 2026-01-07"):
        aggregate(settings, Days.one(WEEK.end + DAY))


def test_day_without_events_gets_snapshots_from_the_days_before(
    settings: Settings, aggregate: Aggregate
) -> None:
    put_events(settings, WEEK.end, [])
    aggregate(settings, WEEK)
    assert impressions(settings, WEEK.end, "u1") == [0.0, 5.0]


def test_late_event_changes_the_snapshots_that_know_it_and_no_earlier_one(
    aggregated: Settings, aggregate: Aggregate
) -> None:
    before = files_of(aggregated, "features/user_engagement")
    put_events(aggregated, FIRST, events_of(FIRST), late=[("u1", "i9", "s1", 1)])
    aggregate(aggregated, Days.one(FIRST))
    after = files_of(aggregated, "features/user_engagement")
    assert [impressions(aggregated, FIRST + DAY * n, "u1")[1] for n in range(4)] == [1.0, 2.0, 4.0, 5.0]
    changed = {path.split("ds=")[1][:10] for path in after if path.endswith("parquet") and path not in before}
    assert changed == {str(FIRST + DAY * n) for n in range(2, 6)}


def test_correction_of_an_hour_reaches_the_rows_of_the_next_day(
    aggregated: Settings, aggregate: Aggregate
) -> None:
    put_events(aggregated, FIRST, [*events_of(FIRST), ("u1", "i9", "s1", 1)])
    aggregate(aggregated, Days.one(FIRST))
    lake = Lake(aggregated.lake)
    table = pq.read_table(lake.files("features/user_session", Days.one(FIRST + DAY)))
    rows = [row for row in table.to_pylist() if row["user_id"] == "u1"]
    # After the second day's own event; when the first day's two leave the window of 24 hours; when the
    # own one leaves those of one and of six hours.
    assert [row["impressions_1d"] for row in rows] == [3.0, 1.0, 1.0, 1.0]
