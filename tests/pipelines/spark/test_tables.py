"""How days are cut into jobs and files: by the days alone, so that equal days give equal bytes."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.days import DAY, Days
from pipelines.lake import Lake
from pipelines.spark.tables import jobs, write_days

FIRST = date(2026, 1, 1)
DAYS = Days(start=FIRST, end=FIRST + DAY * 3)
ROWS = {ds: number * 10 for number, ds in enumerate(DAYS)}


@given(rows=st.lists(st.integers(0, 120), min_size=1, max_size=12))
def test_jobs_hold_all_days_in_order_and_as_many_as_fit(rows: list[int]) -> None:
    days = Days(start=FIRST, end=FIRST + DAY * (len(rows) - 1))
    sizes = dict(zip(days, rows, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.spark.tables.ROWS_PER_JOB", 100)
        found = list(jobs(days, sizes.__getitem__))
    assert [ds for job in found for ds in job] == list(days)
    for job, following in zip(found, [*found[1:], None], strict=True):
        total = sum(sizes[ds] for ds in job)
        assert total <= 100 or len(job) == 1
        if following is not None:
            assert total + sizes[following.start] > 100, "the next day would have fitted"


def frame(spark: Any, days: Days) -> Any:
    """Distinct users a day, in an order that depends on how Spark splits them."""
    rows = [(f"u{number:03d}", float(number), ds) for ds in days for number in range(ROWS[ds])]
    return spark.createDataFrame(rows, "user_id string, value float, ds date").repartition(len(days) + 1)


def write(lake: Lake, spark: Any, days: Days) -> int:
    inputs = {ds: {} for ds in days}
    return write_days(
        lake, "t", frame(spark, days), days, order=("user_id",), inputs=inputs, rows_at_most=ROWS
    )


@pytest.mark.spark
@pytest.mark.parametrize("per_file", [1000, 7])
def test_days_written_together_have_the_bytes_of_days_written_alone(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_file: int
) -> None:
    monkeypatch.setattr("pipelines.spark.tables.ROWS_PER_FILE", per_file)
    together, alone = Lake(tmp_path / "together"), Lake(tmp_path / "alone")
    assert write(together, spark, DAYS) == sum(ROWS.values())
    for ds in DAYS:
        write(alone, spark, Days.one(ds))
    for ds in DAYS:
        assert alone.manifest("t", ds) == together.manifest("t", ds)
        assert len(together.files("t", Days.one(ds))) <= -(-ROWS[ds] // per_file)
        users = [
            user
            for file in together.files("t", Days.one(ds))
            for user in pq.read_table(file)["user_id"].to_pylist()
        ]
        assert sorted(users) == [f"u{number:03d}" for number in range(ROWS[ds])]
    if per_file == 7:
        assert len(together.files("t", Days.one(DAYS.end))) > 1, "a large day has several files"


@pytest.mark.spark
def test_day_without_rows_is_an_empty_partition(spark: Any, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write(lake, spark, DAYS)
    assert lake.manifest("t", FIRST).rows == 0
    assert lake.days("t") == [FIRST + timedelta(days=offset) for offset in range(4)]
