"""Somebody's own log: the documented walk-through, the formats people have, errors that say what is wrong."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipelines.counts import read_counts
from pipelines.days import Days
from pipelines.errors import RawDataError
from pipelines.ingest import ingest
from pipelines.lake import Lake
from pipelines.settings import CHECKOUT, Settings
from tests.pipelines.lake_reading import rows_of

pytestmark = pytest.mark.spark

DAY = date(2026, 1, 1)
BARE = {
    "events": {"path": "log.csv", "user": "u", "item": "i", "time": "t"},
    "labels": {"click": {"column": "c", "prior": 0.3}},
}


@pytest.fixture
def settings(spark: Any, home: Callable[..., Path]) -> Settings:
    section = {
        "days": {"start": "2026-01-01", "end": "2026-01-03"},
        "split": {"train": 1, "validation": 1, "test": 1},
        "mapping": "mapping.yaml",
    }
    return Settings(home=home("custom", datasets={"custom": section}))


def _ingested(settings: Settings, mapping: dict[str, Any]) -> Lake:
    (settings.home / "mapping.yaml").write_text(yaml.safe_dump(mapping))
    ingest(settings, Days.one(DAY))
    return Lake(settings.lake)


def test_documented_walk_through_ends_as_documented(settings: Settings) -> None:
    shutil.copy(CHECKOUT / "docs/examples/custom.yaml", settings.home / "mapping.yaml")
    contract = (CHECKOUT / "docs/data-contract.md").read_text()
    for name, content in re.findall(
        r"^`(\S+\.csv)`:\n\n```csv\n(.*?)```", contract, re.MULTILINE | re.DOTALL
    ):
        (settings.home / name).parent.mkdir(exist_ok=True)
        (settings.home / name).write_text(content)

    ingest(settings, Days.one(DAY))

    lake = Lake(settings.lake)
    counts = read_counts(lake, DAY)
    assert (counts.rows, counts.kept, counts.duplicates, counts.quarantined) == (5, 3, 1, 1)
    events = rows_of(lake, "events", DAY)
    assert [(row["user_id"], row["label_click"], row["label_finish"]) for row in events] == [
        ("7", 1, 1),
        ("7", 0, None),
        ("8", 1, 1),
    ]
    assert [row["watched"] for row in events] == [pytest.approx(0.95), None, pytest.approx(0.97)]
    assert events[1]["event_timestamp"] == datetime(2026, 1, 1, 0, 0, 5, 500000, tzinfo=UTC)
    assert events[2]["created_timestamp"] == datetime(2026, 1, 3, tzinfo=UTC)
    assert rows_of(lake, "users") == [
        {"user_id": "7", "country": "NO", "age": 31.0},
        {"user_id": "8", "country": None, "age": None},
    ]
    assert rows_of(lake, "items")[0] == {"item_id": "a1", "genre": "music", "seconds": 212.5}


def test_parquet_of_pandas_is_read_with_gaps_and_nanoseconds(settings: Settings) -> None:
    frame = pd.DataFrame(
        {
            "u": [7.0, 8.0, None],
            "i": ["a", "b", "c"],
            "t": pd.to_datetime(["2026-01-01 10:00:00.123456789"] * 3).astype("datetime64[ns]"),
            "c": [1.0, None, 0.0],
            "the.page": ["x", "y", "z"],
        }
    )
    frame.to_parquet(settings.home / "log.parquet")
    events = {**BARE["events"], "path": "*.parquet", "scenario": "the.page"}

    lake = _ingested(settings, {**BARE, "events": events})

    assert [
        (row["user_id"], row["scenario_id"], row["label_click"]) for row in rows_of(lake, "events", DAY)
    ] == [("7", "x", 1), ("8", "y", None)]
    assert rows_of(lake, "events", DAY)[0]["event_timestamp"] == datetime(
        2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC
    )
    (rejected,) = rows_of(lake, "quarantine", DAY)
    assert (rejected["line"], rejected["reason"]) == (3, "user_id is missing or unreadable")


def test_quantity_beyond_its_bounds_or_no_number_is_quarantined(settings: Settings) -> None:
    values = ["0", "1.5", "", "-0.5", "much", "NaN", "inf", "1e39"]
    rows = [f"u{n},x,17672256{n:02d},1,{value}" for n, value in enumerate(values)]
    (settings.home / "log.csv").write_text("\n".join(["u,i,t,c,paid", *rows]) + "\n")

    lake = _ingested(settings, {**BARE, "quantities": {"paid": {"column": "paid", "low": 0}}})

    kept = {row["user_id"]: row["paid"] for row in rows_of(lake, "events", DAY)}
    assert kept == {"u0": 0.0, "u1": 1.5, "u2": None}
    reasons = {row["reason"] for row in rows_of(lake, "quarantine", DAY)}
    assert reasons == {"paid is not a number within its bounds"}


def test_ids_of_the_log_are_the_profiles_when_none_are_mapped(settings: Settings) -> None:
    (settings.home / "log.csv").write_text("u,i,t,c\nb,x,1767225600,1\na,x,1767225601,0\n")

    lake = _ingested(settings, BARE)

    assert rows_of(lake, "users") == [{"user_id": "a"}, {"user_id": "b"}]
    assert {row["scenario_id"] for row in rows_of(lake, "events", DAY)} == {"all"}


def test_rows_of_several_unlike_files_know_their_origin(settings: Settings) -> None:
    log = settings.home / "log"
    log.mkdir()
    (log / "one a+b.csv").write_text('u,i,t,c,note\n1,x,1767225600,1,"two\nlines"\n,y,1767225600,1,\n')
    with gzip.open(log / "two.csv.gz", "wt") as file:
        file.write("\ufeffc,t,i,u\n1,1767225601,x,1\n\n1,1767225602,x\n1,never,x,1\n")
    (log / "three.tsv").write_text("u\ti\tt\tc\n1\tx\t1767225603\tmaybe\n")

    lake = _ingested(settings, {**BARE, "events": {**BARE["events"], "path": "log/*"}})

    assert read_counts(lake, DAY).kept == 2
    assert [(row["source"], row["line"], row["reason"]) for row in rows_of(lake, "quarantine", DAY)] == [
        ("one a+b.csv", 2, "user_id is missing or unreadable"),
        ("three.tsv", 1, "label click is not readable"),
        ("two.csv.gz", 2, "the row has another number of fields than its header"),
        ("two.csv.gz", 3, "the time is missing or unreadable"),
    ]


def test_ids_with_separators_name_different_events(settings: Settings) -> None:
    (settings.home / "log.csv").write_text("u,i,t,c\na:b,c,1767225600,1\na,b:c,1767225600,0\n")

    assert len(rows_of(_ingested(settings, BARE), "events", DAY)) == 2


def test_mapped_event_id_names_the_event_when_times_differ(settings: Settings) -> None:
    (settings.home / "log.csv").write_text("u,i,t,c,e\na,x,1767225600,1,e1\na,x,1767225609,0,e1\n")

    lake = _ingested(settings, {**BARE, "events": {**BARE["events"], "event_id": "e"}})

    assert [row["event_id"] for row in rows_of(lake, "events", DAY)] == ["e1"]


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("u,item,t,c\n1,x,1767225600,1\n", r"log.csv \(1 rows\) has no column 'i'; closest is 'item'"),
        ("u,i,t,c,U\n", "several columns called u"),
        ("", "not even a header"),
        (None, "no such file"),
    ],
)
def test_wrong_file_is_refused_with_what_is_wrong(settings: Settings, written: str | None, part: str) -> None:
    if written is not None:
        (settings.home / "log.csv").write_text(written)

    with pytest.raises(RawDataError, match=part):
        _ingested(settings, BARE)


@pytest.mark.parametrize("pattern", ["", "**.csv", "a\0b"], ids=ascii)
def test_path_that_is_none_is_named(settings: Settings, pattern: str) -> None:
    with pytest.raises(RawDataError, match=r"mapping\.yaml names .*"):
        _ingested(settings, BARE | {"events": BARE["events"] | {"path": pattern}})
