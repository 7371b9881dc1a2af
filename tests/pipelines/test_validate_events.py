"""The events gate on a log of eighteen days, most of them poisoned, each in its own way."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features.declarations.simulated import CATALOG
from pipelines.counts import DayCounts, write_counts
from pipelines.days import DAY, Days, first_instant, snapshot_instant
from pipelines.errors import GateError, MissingPartitionError, NotValidatedError
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.validate import validate_events
from pipelines.verdicts import Verdict, find_verdict, require_passed, verdict_path
from tests.homes import make_home
from tests.pipelines.gate_lake import events, publish, write_events

FIRST = date(2026, 1, 1)
ROWS = 40
Poison = Callable[[date, pa.Table], pa.Table]


def replaced(column: str, values: dict[int, object]) -> Poison:
    """Put values into some rows of a column."""

    def poison(_: date, rows: pa.Table) -> pa.Table:
        index = rows.schema.get_field_index(column)
        changed = rows[column].to_pylist()
        for row, value in values.items():
            changed[row] = value
        return rows.set_column(
            index, rows.schema.field(index), pa.array(changed, rows.schema.field(index).type)
        )

    return poison


def moved(column: str, row: int, instant: Callable[[date], object]) -> Poison:
    """Put one row's time elsewhere."""
    return lambda ds, rows: replaced(column, {row: instant(ds)})(ds, rows)


def cast(column: str, dtype: pa.DataType) -> Poison:
    def poison(_: date, rows: pa.Table) -> pa.Table:
        return rows.set_column(rows.schema.get_field_index(column), column, rows[column].cast(dtype))

    return poison


MICROSECOND = timedelta(microseconds=1)
# Poison, then the column at fault, what the failure says of it, and how many rows it counts.
POISONS: dict[str, tuple[Poison, str, str, int]] = {
    "labels all null": (
        replaced("label_like", dict.fromkeys(range(ROWS))), "label_like", "null in 40 of 40 rows", 40,
    ),
    "a label of 2": (
        replaced("label_click", {3: 2, 4: 2, 9: 2}), "label_click", "label_click=2 in 3 of 40 rows", 3,
    ),
    "null user ids": (replaced("user_id", {0: None, 7: None}), "user_id", "user_id=null in 2 of 40 rows", 2),
    "null event ids": (replaced("event_id", {0: None}), "event_id", "event_id=null in 1 of 40 rows", 1),
    "duplicate event ids": (
        replaced("event_id", {5: "twice", 6: "twice"}), "event_id", "event_id=twice in 2 of 40 rows", 2,
    ),
    "an event of the next day": (
        moved("event_timestamp", 39, snapshot_instant), "event_timestamp", "in 1 of 40 rows", 1,
    ),
    "an event of the day before": (
        moved("event_timestamp", 0, lambda ds: first_instant(ds) - MICROSECOND),
        "event_timestamp", "in 1 of 40 rows", 1,
    ),
    "an event without a time": (
        replaced("event_timestamp", {2: None}), "event_timestamp", "event_timestamp=null", 1,
    ),
    "learnt of before it happened": (
        moved("created_timestamp", 8, first_instant), "created_timestamp", "in 1 of 40 rows", 1,
    ),
    "ten times the rows": (
        lambda ds, _: events(CATALOG, ds, ROWS * 10), "rows", "400 rows, 10 times the usual 40", 0,
    ),
    "a handful of rows": (
        lambda ds, _: events(CATALOG, ds, 2), "rows", "2 rows, 0.05 times the usual 40", 0,
    ),
    "no rows": (lambda ds, _: events(CATALOG, ds, 0), "rows", "0 rows, 0 times the usual 40", 0),
    "a missing column": (
        lambda _, rows: rows.drop_columns(["label_like"]), "label_like", "no such column", 0,
    ),
    "another type": (cast("label_like", pa.int64()), "label_like", "type int64", 0),
    "a null context": (replaced("hour", {1: None}), "hour", "hour null in 1 of 40 rows", 1),
}  # fmt: skip
QUARANTINED = "a tenth in quarantine"
GOOD = ("a first day", "a good day", "a good day of another kind")
# Good days first and in between, so that the poisoned ones never are the usual ones.
ORDER = [GOOD[0], GOOD[1], *list(POISONS)[:8], GOOD[2], *list(POISONS)[8:], QUARANTINED]
DAY_OF = {name: FIRST + DAY * index for index, name in enumerate(ORDER)}
DAYS = Days(start=FIRST, end=FIRST + DAY * (len(ORDER) - 1))


def settings_in(folder: Path) -> Settings:
    section = {
        "days": {"start": str(DAYS.start), "end": str(DAYS.end)},
        "split": {"train": 2, "validation": 1, "test": 1},
    }
    return Settings(home=make_home(folder, "simulated", datasets={"simulated": section}), raw=None)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Lake, GateError]:
    """The gate's run on the whole log, and the error it ended with."""
    settings = settings_in(tmp_path_factory.mktemp("poisoned") / "home")
    lake = Lake(settings.lake)
    for name, ds in DAY_OF.items():
        rows = events(CATALOG, ds, ROWS)
        publish(lake, "events", ds, POISONS[name][0](ds, rows) if name in POISONS else rows)
    counts = DayCounts(
        ds=DAY_OF[QUARANTINED], rows=44, kept=40, duplicates=0, quarantined=4, reasons={"no time": 4}
    )
    write_counts(lake, counts)
    with pytest.raises(GateError) as error:
        validate_events(settings, DAYS)
    return settings, lake, error.value


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path / "home")


def verdict_on(lake: Lake, ds: date) -> Verdict:
    verdict = find_verdict(lake, "events", ds)
    assert verdict is not None
    return verdict


@pytest.mark.parametrize("name", GOOD)
def test_gate_lets_a_good_day_through_when_others_of_the_range_are_not(
    poisoned: tuple[Settings, Lake, GateError], name: str
) -> None:
    _, lake, _ = poisoned
    verdict = verdict_on(lake, DAY_OF[name])
    assert verdict.passed
    assert verdict.checks > 20
    require_passed(lake, "events", [DAY_OF[name]])


@pytest.mark.parametrize("name", POISONS)
def test_gate_stops_a_day_and_names_column_and_rows_when_it_has(
    poisoned: tuple[Settings, Lake, GateError], name: str
) -> None:
    _, lake, _ = poisoned
    _, column, said, rows = POISONS[name]
    verdict = verdict_on(lake, DAY_OF[name])
    assert not verdict.passed
    failure = next(failure for failure in verdict.failures if failure.column == column)
    assert said in failure.message
    assert failure.rows == rows
    assert len(failure.examples) == min(rows, 5)
    with pytest.raises(NotValidatedError, match="did not pass its gate"):
        require_passed(lake, "events", [DAY_OF[name]])


def test_gate_stops_a_day_when_too_much_of_it_is_in_quarantine(
    poisoned: tuple[Settings, Lake, GateError],
) -> None:
    _, lake, _ = poisoned
    (failure,) = verdict_on(lake, DAY_OF[QUARANTINED]).failures
    assert failure.column == "rows"
    assert "at most 5% of the raw rows are in quarantine" in failure.message
    assert "9.1%" in failure.observed


def test_gate_shows_keys_and_values_of_the_rows_at_fault(
    poisoned: tuple[Settings, Lake, GateError],
) -> None:
    _, lake, _ = poisoned
    ds = DAY_OF["a label of 2"]
    (failure,) = verdict_on(lake, ds).failures
    assert failure.examples == tuple(f"event_id={ds}-{row:06d}, label_click=2" for row in (3, 4, 9))


def test_gate_error_names_table_day_column_and_the_way_out(
    poisoned: tuple[Settings, Lake, GateError],
) -> None:
    settings, _, error = poisoned
    message = str(error)
    assert f"the events gate stopped {len(POISONS) + 1} of {len(ORDER)} partitions" in message
    assert f"events ds={DAY_OF['a label of 2']}, label_click: expected" in message
    stopped = f"--start {DAY_OF['labels all null']} --end {DAY_OF[QUARANTINED]}"
    assert f"gatehouse ingest {stopped}` and `gatehouse validate events {stopped}`" in message
    assert "features/declarations" in message
    assert (settings.reports / "data_docs" / "index.html").as_uri() in message
    assert error.exit_code == 3


def test_gate_summary_lists_every_failure_when_the_message_is_cut_short(
    poisoned: tuple[Settings, Lake, GateError],
) -> None:
    settings, _, error = poisoned
    path = settings.runs / "gates" / "events.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    (table,) = summary["tables"]
    assert f"and {len(table['failures']) - 10} more, all of them in {path}" in str(error)
    assert summary["passed"] is False
    assert (table["table"], table["partitions"], table["passed"]) == ("events", len(ORDER), False)
    assert {failure["ds"] for failure in table["failures"]} == {
        str(DAY_OF[name]) for name in (*POISONS, QUARANTINED)
    }


def test_gate_writes_data_docs_when_it_stops_something(poisoned: tuple[Settings, Lake, GateError]) -> None:
    settings, _, _ = poisoned
    docs = settings.reports / "data_docs"
    pages = list((docs / "validations").rglob("*.html"))
    assert (docs / "index.html").exists()
    assert len(pages) == 2
    assert any("label_click is 0, 1 or null" in page.read_text(encoding="utf-8") for page in pages)


def test_gate_gives_the_same_bytes_when_it_is_held_again(settings: Settings) -> None:
    lake, days = Lake(settings.lake), Days(start=FIRST, end=FIRST + DAY)
    write_events(lake, CATALOG, days)
    paths = [verdict_path(lake, "events", ds) for ds in days]
    validate_events(settings, days)
    before = [path.read_bytes() for path in paths]
    validate_events(settings, days)
    assert [path.read_bytes() for path in paths] == before


def test_earlier_verdict_stays_when_a_later_day_is_stopped(settings: Settings) -> None:
    lake, next_day = Lake(settings.lake), FIRST + DAY
    write_events(lake, CATALOG, Days.one(FIRST))
    validate_events(settings, Days.one(FIRST))
    publish(lake, "events", next_day, replaced("label_click", {0: 2})(next_day, events(CATALOG, next_day)))
    with pytest.raises(GateError, match=f"gatehouse ingest --ds {next_day}"):
        validate_events(settings, Days.one(next_day))
    require_passed(lake, "events", [FIRST])


def test_gate_opens_again_when_the_day_is_mended(settings: Settings) -> None:
    lake, day = Lake(settings.lake), Days.one(FIRST)
    publish(lake, "events", FIRST, events(CATALOG, FIRST).drop_columns(["item_id"]))
    with pytest.raises(GateError, match="item_id"):
        validate_events(settings, day)
    write_events(lake, CATALOG, day)
    with pytest.raises(NotValidatedError, match="changed since"):
        require_passed(lake, "events", day)
    validate_events(settings, day)
    require_passed(lake, "events", day)


def test_gate_asks_for_ingest_when_a_day_was_never_written(settings: Settings) -> None:
    write_events(Lake(settings.lake), CATALOG, Days.one(FIRST))
    with pytest.raises(MissingPartitionError, match="gatehouse ingest --ds 2026-01-02"):
        validate_events(settings, Days(start=FIRST, end=FIRST + DAY))


def test_gate_passes_labels_that_are_partly_null(settings: Settings) -> None:
    lake = Lake(settings.lake)
    half = replaced("label_like", dict.fromkeys(range(0, ROWS, 2)))
    publish(lake, "events", FIRST, half(FIRST, events(CATALOG, FIRST)))
    validate_events(settings, Days.one(FIRST))
    require_passed(lake, "events", [FIRST])
