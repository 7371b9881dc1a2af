"""Ingest of any log: every row is accounted for, as a plain loop over the rows would do it."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.counts import read_counts
from pipelines.days import Days
from pipelines.ingest import ingest
from pipelines.lake import Lake
from pipelines.settings import Settings
from tests.homes import make_home
from tests.pipelines.lake_reading import bytes_of, rows_of

pytestmark = [pytest.mark.spark, pytest.mark.slow]

FIRST = date(2026, 1, 1)
ASKED = Days(start=FIRST, end=date(2026, 1, 2))
SECONDS_A_DAY = 86_400
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
SECONDS = [START, START + SECONDS_A_DAY - 1, START + SECONDS_A_DAY, START + 3 * SECONDS_A_DAY]
MAPPING = {
    "events": {"path": "log.csv", "user": "u", "item": "i", "time": "t", "created": "k"},
    "labels": {"click": {"column": "c", "prior": 0.3}},
}
Row = tuple[str, str, str, str, str]
ROW = st.tuples(
    st.sampled_from(["a", "b", " a ", ""]),
    st.sampled_from(["x", "y", ""]),
    st.sampled_from([*map(str, SECONDS), "soon", "-5"]),
    st.sampled_from(["1", "0", "true", "", "perhaps"]),
    st.sampled_from(["", str(START + 9 * SECONDS_A_DAY)]),
)  # fmt: skip


def _day(second: int) -> date:
    return FIRST + timedelta(days=(second - START) // SECONDS_A_DAY)


def _outcome(rows: list[Row]) -> tuple[dict[date, list[int]], set[tuple[str, str, int, int | None]]]:
    """Per day rows, kept, duplicates and quarantined; and the kept events with the label that counts.

    Rows whose time cannot be read are put down to the day that most others lie on, the first of equals.
    """
    dated = Counter(_day(int(time)) for _, _, time, _, _ in rows if time.isdigit())
    usual = min(dated, key=lambda day: (-dated[day], day))
    counts = {day: [0, 0, 0, 0] for day in ASKED}
    best: dict[tuple[str, str, int], tuple[int, int, int | None]] = {}
    for line, (user, item, time, label, created) in enumerate(rows):
        second = int(time) if time.isdigit() else None
        day = usual if second is None else _day(second)
        if day not in ASKED:
            continue
        counts[day][0] += 1
        if not user.strip() or not item or second is None or label == "perhaps":
            counts[day][3] += 1
            continue
        event = (user.strip(), item, second)
        rank = (-int(created or second), line, {"1": 1, "true": 1, "0": 0}.get(label))
        counts[day][2 if event in best else 1] += 1
        best[event] = min(best.get(event, rank), rank, key=lambda ranked: ranked[:2])
    return counts, {(*event, rank[2]) for event, rank in best.items()}


@pytest.fixture(scope="module")
def custom(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    section = {
        "days": {"start": "2026-01-01", "end": "2026-01-04"},
        "split": {"train": 1, "validation": 1, "test": 1},
        "mapping": "mapping.yaml",
    }
    home = make_home(tmp_path_factory.mktemp("custom"), "custom", datasets={"custom": section})
    (home / "mapping.yaml").write_text(yaml.safe_dump(MAPPING))
    return Settings(home=home)


def _write(home: Path, rows: list[Row]) -> None:
    with (home / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("u", "i", "t", "c", "k"), *rows])


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(ROW, min_size=40, max_size=120))
@example(rows=[("a", "x", str(START + SECONDS_A_DAY), "1", "")] * 2 + [("a", "x", "soon", "1", "")])
def test_every_row_is_kept_a_duplicate_or_quarantined(custom: Settings, rows: list[Row]) -> None:
    inside = ("a", "x", str(START), "1", "")
    rows = [inside, *rows]  # a log that does not reach the days asked for is refused
    _write(custom.home, rows)

    ingest(custom, ASKED)

    lake = Lake(custom.lake)
    expected, events = _outcome(rows)
    for day in ASKED:
        counted = read_counts(lake, day)
        assert [counted.rows, counted.kept, counted.duplicates, counted.quarantined] == expected[day]
        assert len(rows_of(lake, "quarantine", day)) == counted.quarantined
    kept = rows_of(lake, "events", ASKED)
    assert {
        (row["user_id"], row["item_id"], int(row["event_timestamp"].timestamp()), row["label_click"])
        for row in kept
    } == events
    for day in ASKED:
        order = [(row["event_timestamp"], row["event_id"]) for row in rows_of(lake, "events", day)]
        assert order == sorted(order)


def test_rerun_replaces_only_the_days_asked_for(custom: Settings) -> None:
    _write(custom.home, [("a", "x", str(START + day * SECONDS_A_DAY), "1", "") for day in range(3)])
    ingest(custom, Days(start=FIRST, end=date(2026, 1, 3)))
    before = bytes_of(Lake(custom.lake))

    ingest(custom, Days.one(date(2026, 1, 2)))
    assert bytes_of(Lake(custom.lake)) == before

    _write(custom.home, [("a", "x", str(START + day * SECONDS_A_DAY), "0", "") for day in range(3)])
    ingest(custom, Days.one(date(2026, 1, 2)))

    changed = {path for path, content in bytes_of(Lake(custom.lake)).items() if before.get(path) != content}
    assert {path.split("/")[1] for path in changed if path.startswith("events/")} == {"ds=2026-01-02"}
