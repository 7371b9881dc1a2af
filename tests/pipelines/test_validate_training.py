"""The training gate: a set worth learning from passes, one that only looks like it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features.declarations.simulated import CATALOG
from pipelines.days import Days, first_instant
from pipelines.errors import GateError, MissingPartitionError
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.validate import validate_training
from pipelines.verdicts import require_passed
from tests.homes import make_home
from tests.pipelines.gate_lake import events, publish, training_set, write_events

FIRST, LAST = date(2026, 1, 1), date(2026, 1, 4)
DAYS = Days(start=FIRST, end=LAST)
TABLE = "training_sets/ranker_v1"
ROWS = 40
TRAIN_ROWS = 2 * ROWS
RATE = "user_engagement__click_rate_1d"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    section = {
        "days": {"start": str(FIRST), "end": str(LAST)},
        "split": {"train": 2, "validation": 1, "test": 1},
    }
    settings = Settings(
        home=make_home(tmp_path / "home", "simulated", datasets={"simulated": section}), raw=None
    )
    write_events(Lake(settings.lake), CATALOG, DAYS, ROWS)
    return settings


@pytest.fixture
def rows() -> pa.Table:
    return training_set(CATALOG, "ranker_v1", [events(CATALOG, ds, ROWS) for ds in DAYS])


def changed(rows: pa.Table, column: str, change: Callable[[int, object], object]) -> pa.Table:
    """A column with every value replaced by what `change` makes of its position and value."""
    index = rows.schema.get_field_index(column)
    values = [change(row, value) for row, value in enumerate(rows[column].to_pylist())]
    return rows.set_column(index, rows.schema.field(index), pa.array(values, rows.schema.types[index]))


def hold(settings: Settings, rows: pa.Table) -> str:
    """Hold the gate against a training set; what it says against it."""
    publish(Lake(settings.lake), TABLE, LAST, rows)
    with pytest.raises(GateError) as error:
        validate_training(settings, LAST)
    return str(error.value)


def test_gate_passes_a_set_whose_first_rows_came_before_any_snapshot(
    settings: Settings, rows: pa.Table
) -> None:
    missed = changed(rows, RATE, lambda row, value: None if row < ROWS else value)
    missed = changed(missed, "user_positives__item_ids", lambda row, value: None if row < ROWS else value)
    publish(Lake(settings.lake), TABLE, LAST, missed)
    validate_training(settings, LAST)
    require_passed(Lake(settings.lake), TABLE, [LAST])


def test_gate_stops_a_set_when_a_label_has_one_value_in_the_training_days(
    settings: Settings, rows: pa.Table
) -> None:
    message = hold(settings, changed(rows, "label_like", lambda row, value: 0 if row < TRAIN_ROWS else value))
    assert 'label_like: expected "label_like is both 0 and 1 in the training days", found only 0' in message
    assert "label_click" not in message
    assert "gatehouse assemble --ds 2026-01-04" in message


def test_gate_stops_a_set_when_a_label_is_null_throughout(settings: Settings, rows: pa.Table) -> None:
    message = hold(settings, changed(rows, "label_like", lambda *_: None))
    assert "label_like is not null in every row of the training days" in message


def test_gate_stops_a_set_when_a_label_is_null_in_all_training_days(
    settings: Settings, rows: pa.Table
) -> None:
    message = hold(
        settings, changed(rows, "label_like", lambda row, value: None if row < TRAIN_ROWS else value)
    )
    assert "label_like is not null in every row of the training days" in message


def test_gate_stops_a_set_when_it_lost_rows(settings: Settings, rows: pa.Table) -> None:
    assert "found 150 rows for 160 events" in hold(settings, rows.slice(10))


def test_gate_stops_a_set_when_an_event_came_twice(settings: Settings, rows: pa.Table) -> None:
    twice = changed(rows, "event_id", lambda row, value: "same" if row in (8, 90) else value)
    assert "event_id=same in 2 of 160 rows" in hold(settings, twice)


def test_gate_stops_a_set_when_a_feature_left_its_range(settings: Settings, rows: pa.Table) -> None:
    message = hold(settings, changed(rows, RATE, lambda row, value: 1.5 if row == 7 else value))
    assert f'{RATE}: expected "{RATE} is at most 1", found {RATE}=1.5 in 1 of 160 rows' in message
    assert f"event_id=2026-01-01-000007, {RATE}=1.5" in message


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_gate_stops_a_set_when_a_feature_was_never_found(
    settings: Settings, rows: pa.Table, nothing: float | None
) -> None:
    assert f"{RATE} is not null in every row" in hold(settings, changed(rows, RATE, lambda *_: nothing))


def test_gate_stops_a_set_when_a_feature_is_missing(settings: Settings, rows: pa.Table) -> None:
    message = hold(settings, rows.drop_columns([RATE]))
    assert f'{RATE}: expected "{RATE} is there, as float32", found no such column' in message
    assert "label_" not in message


def test_gate_stops_a_set_when_an_event_is_not_of_its_days(settings: Settings, rows: pa.Table) -> None:
    before = first_instant(FIRST) - timedelta(microseconds=1)
    message = hold(settings, changed(rows, "event_timestamp", lambda row, value: value if row else before))
    assert "event_timestamp=2025-12-31T23:59:59.999999Z" in message


def test_gate_asks_for_assemble_when_there_is_no_set(settings: Settings) -> None:
    with pytest.raises(MissingPartitionError, match="gatehouse assemble --ds 2026-01-04"):
        validate_training(settings, LAST)
