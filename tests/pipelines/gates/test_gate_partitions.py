"""Partition statistics against what a loop over the rows says."""

from __future__ import annotations

import math
import statistics
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.days import DAY, first_instant, snapshot_instant
from pipelines.gates import partitions
from pipelines.gates.partitions import (
    Partition,
    batches,
    label_statistics,
    null_share,
    read_partition,
    rows_frame,
    statistics_frame,
    usual_rows,
    volume,
)
from pipelines.lake import Lake
from tests.pipelines.gate_lake import INSTANT, publish

MONDAY = date(2026, 1, 5)
COLUMNS = {"user_id": "string", "rate": "float32", "label_click": "int8", "item_ids": "list<string>"}
floats = st.one_of(st.none(), st.just(math.nan), st.floats(0, 1, width=32))


def read(lake: Lake, ds: date = MONDAY) -> Partition:
    return read_partition(lake, "t", ds, COLUMNS, first_instant(ds), snapshot_instant(ds), {"ratio": None})


def rows(**columns: pa.Array) -> pa.Table:
    """Two valid rows, with columns replaced."""
    valid = {
        "user_id": pa.array(["a", "b"]),
        "rate": pa.array([0.0, 1.0], pa.float32()),
        "label_click": pa.array([1, None], pa.int8()),
        "item_ids": pa.array([["x", "y"], []]),
    }
    return pa.table(valid | columns)


@given(st.lists(floats))
def test_null_share_counts_nulls_and_nan_together(values: list[float | None]) -> None:
    column = pa.chunked_array([pa.array(values, pa.float32())])
    missing = sum(1 for value in values if value is None or math.isnan(value))
    assert null_share(column) == (missing / len(values) if values else None)


@given(st.dictionaries(st.integers(0, 40), st.integers(0, 1000)), st.integers(0, 40))
def test_usual_rows_is_the_median_of_the_written_days_before(counts: dict[int, int], day: int) -> None:
    days = {MONDAY + DAY * offset: rows for offset, rows in counts.items()}
    before = [rows for offset, rows in counts.items() if day - 14 <= offset < day]
    assert usual_rows(days, MONDAY + DAY * day) == (statistics.median(before) if len(before) > 1 else None)


def test_volume_has_no_ratio_when_there_is_nothing_to_compare_with() -> None:
    assert volume({MONDAY: 5}, MONDAY) == {"usual_rows": None, "ratio": None}
    assert volume({MONDAY - DAY: 1, MONDAY: 5}, MONDAY) == {"usual_rows": None, "ratio": None}
    empty = {MONDAY - DAY * 2: 0, MONDAY - DAY: 0}
    assert volume({**empty, MONDAY: 5}, MONDAY) == {"usual_rows": 0.0, "ratio": None}


def test_volume_is_the_ratio_to_the_usual_rows() -> None:
    counts = {MONDAY - DAY * 2: 1, MONDAY - DAY: 3, MONDAY: 5}
    assert volume(counts, MONDAY) == {"usual_rows": 2.0, "ratio": 2.5}


@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([0, 1, None])), max_size=20))
def test_label_statistics_count_only_the_labels_before_the_instant(
    drawn: list[tuple[int, int | None]],
) -> None:
    middle = first_instant(MONDAY)
    table = pa.table(
        {
            "event_timestamp": pa.array([middle + DAY * offset for offset, _ in drawn], INSTANT),
            "label_click": pa.array([label for _, label in drawn], pa.int8()),
        }
    )
    before = [label for offset, label in drawn if offset < 0]
    known = [label for label in before if label is not None]
    assert label_statistics(table, ["label_click"], before=middle) == {
        "label_click.unknown_share": before.count(None) / len(before) if before else None,
        "label_click.positive_share": pytest.approx(sum(known) / len(known)) if known else None,
    }


def test_label_statistics_are_unknown_when_the_rows_could_not_be_read() -> None:
    found = label_statistics(None, ["label_click"], before=first_instant(MONDAY))
    assert found == {"label_click.unknown_share": None, "label_click.positive_share": None}


@settings(max_examples=30)
@given(st.lists(st.integers(0, 7), max_size=12), st.integers(1, 10))
def test_batches_keep_every_partition_in_order_and_stop_at_the_bound(sizes: list[int], bound: int) -> None:
    parts = [
        Partition(
            MONDAY + DAY * index,
            "c",
            first_instant(MONDAY),
            first_instant(MONDAY),
            {},
            pa.table({"a": [0] * n}),
        )
        for index, n in enumerate(sizes)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitions, "ROWS_AT_ONCE", bound)
        grouped = list(batches(parts))
    assert [part for batch in grouped for part in batch] == parts
    for batch in grouped:
        *but_last, _ = [part.rows.num_rows for part in batch if part.rows is not None]
        assert sum(but_last) < bound


def test_read_partition_names_types_as_the_declarations_do(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    publish(lake, "t", MONDAY, rows())
    found = read(lake).statistics
    assert {column: found[f"{column}.type"] for column in COLUMNS} == COLUMNS
    assert found["label_click.null_share"] == 0.5
    assert found["rows"] == 2
    assert found["ratio"] is None


def test_read_partition_keeps_no_rows_when_a_type_is_not_as_declared(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    publish(lake, "t", MONDAY, rows(rate=pa.array([0.0, 1.0], pa.float64())).drop_columns(["user_id"]))
    partition = read(lake)
    assert partition.rows is None
    assert partition.statistics["rate.type"] == "float64"
    assert partition.statistics["user_id.type"] == "absent"


def test_read_partition_tells_when_files_of_a_partition_disagree(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with lake.staging() as staging:
        pq.write_table(rows(), staging / "0.parquet")
        pq.write_table(rows(rate=pa.array([1, 2], pa.int64())), staging / "1.parquet")
        lake.publish("t", MONDAY, staging.iterdir(), {})
    assert read(lake).statistics["rate.type"] == "float32 or int64"


def test_read_partition_knows_nothing_of_columns_when_the_day_is_empty(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.publish("t", MONDAY, [], {})
    partition = read(lake)
    assert partition.rows is None
    assert partition.statistics["rows"] == 0
    assert partition.statistics["rate.type"] is None
    assert partition.statistics["rate.null_share"] is None


def test_frames_keep_the_partition_of_each_row_and_lists_by_their_length(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    tuesday = MONDAY + DAY
    publish(lake, "t", MONDAY, rows())
    publish(lake, "t", tuesday, rows(item_ids=pa.array([["x"], None])))
    parts = [read(lake), read(lake, tuesday)]
    assert list(statistics_frame(parts)["ds"]) == ["ds=2026-01-05", "ds=2026-01-06"]
    frame = rows_frame(parts)
    assert list(frame["ds"]) == ["ds=2026-01-05"] * 2 + ["ds=2026-01-06"] * 2
    assert list(frame["item_ids"][:3]) == [2, 0, 1]
    assert math.isnan(frame["item_ids"][3])
    assert list(frame["partition_end"]) == [snapshot_instant(MONDAY)] * 2 + [snapshot_instant(tuesday)] * 2
