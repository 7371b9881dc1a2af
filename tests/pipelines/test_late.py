"""Which days are late: those whose rows changed, however the files that hold them did."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.counts import read_counts, write_counts
from pipelines.days import Days
from pipelines.ingest import ingest
from pipelines.lake import Lake
from pipelines.late import find_late
from pipelines.settings import Settings
from tests.homes import make_home

pytestmark = [pytest.mark.spark, pytest.mark.slow]

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
DAYS = Days(start=date(2026, 1, 1), end=date(2026, 1, 3))
MAPPING = {
    "events": {"path": "log/*.csv", "user": "u", "item": "i", "time": "t"},
    "labels": {"click": {"column": "c", "prior": 0.3}},
}


@pytest.fixture(scope="module")
def ingested(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three ingested days of four rows, one file each."""
    section = {
        "days": {"start": "2026-01-01", "end": "2026-01-03"},
        "split": {"train": 1, "validation": 1, "test": 1},
        "mapping": "mapping.yaml",
    }
    home = make_home(tmp_path_factory.mktemp("late") / "home", "custom", datasets={"custom": section})
    settings = Settings(home=home)
    (settings.home / "mapping.yaml").write_text(yaml.safe_dump(MAPPING))
    for day in range(3):
        _write(settings, f"{day}", _rows(day))
    ingest(settings, DAYS)
    return settings


@pytest.fixture
def log(ingested: Settings, tmp_path: Path) -> Settings:
    """A copy of them for one test."""
    return Settings(home=shutil.copytree(ingested.home, tmp_path / "home"))


def _rows(day: int) -> list[tuple[str, str, str, str]]:
    at = [str(START + day * 86_400 + second) for second in range(4)]
    return [("a", "x", at[0], "1"), ("b", "x", at[1], "0"), ("a", "y", at[2], ""), ("b", "y", at[3], "1")]


def _write(settings: Settings, name: str, rows: Iterable[tuple[str, str, str, str]]) -> None:
    path = settings.home / "log" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("u", "i", "t", "c"), *rows])


def _late(settings: Settings) -> list[int]:
    return [ds.day for ds in find_late(settings).days]


def test_no_day_is_late_when_only_files_changed(log: Settings) -> None:
    assert find_late(log).days == ()
    _write(log, "0", reversed(_rows(0)))
    (log.home / "log" / "1.csv").rename(log.home / "log" / "renamed.csv")
    _write(log, "3", [("a", "x", str(START + 3 * 86_400), "1")])  # of a day that nobody has ingested
    assert _late(log) == []


def test_day_is_late_until_it_is_ingested_again(log: Settings) -> None:
    late_file = [("c", "x", str(START + 5), "1"), ("", "x", str(START + 86_400), "1")]
    _write(log, "late", late_file)
    found = find_late(log)
    assert [ds.day for ds in found.days] == [1, 2]
    assert (found.since, found.until) == (date(2026, 1, 1), date(2026, 1, 3))
    assert find_late(log) == found  # its fingerprint too, by which the run it starts is named

    ingest(log, Days.one(date(2026, 1, 1)))
    assert _late(log) == [2]
    ingest(log, Days.one(date(2026, 1, 2)))
    assert _late(log) == []


def test_corrected_and_removed_rows_make_their_day_late(log: Settings) -> None:
    corrected = [(user, item, time, "0") for user, item, time, _ in _rows(0)]
    _write(log, "0", corrected)  # as many rows as before
    _write(log, "1", _rows(1)[:3])
    first = find_late(log)
    assert [ds.day for ds in first.days] == [1, 2]
    _write(log, "0", [*corrected[:3], ("b", "y", corrected[3][2], "")])
    second = find_late(log)
    assert second.days == first.days
    assert second.fingerprint != first.fingerprint


def test_raw_log_is_not_read_again_while_its_files_are_the_same(log: Settings) -> None:
    note = log.runs / "raw_days.json"
    find_late(log)
    note.write_text(note.read_text().replace("2026-01-02", "2026-01-04"))  # seen only if it is believed
    assert _late(log) == [2]


def test_day_of_an_older_version_is_judged_by_its_number_of_rows(log: Settings) -> None:
    lake = Lake(log.lake)
    for ds in DAYS:
        write_counts(lake, read_counts(lake, ds).model_copy(update={"fingerprint": ""}))
    assert _late(log) == []
    _write(log, "0", _rows(0)[:3])
    assert _late(log) == [1]
