from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from features.stores.errors import StoreError
from features.stores.partitions import MANIFEST, data_files
from pipelines import manifest
from pipelines.lake import Lake
from tests.features.stores.tables import MICROSECOND, SCHEMA, START, Row, publish, write_rows

DAY = timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    write_rows(lake, "t", [Row("u", "i", START + n * DAY, None, 0.0) for n in range(4)])
    return lake


def days(files: list[Path]) -> list[str]:
    return [file.parent.name for file in files]


def test_all_files_are_listed_in_order_of_days_when_no_range_is_given(lake: Lake) -> None:
    assert data_files(lake.root / "t") == [
        lake.folder("t", ds) / lake.manifest("t", ds).files[0].name for ds in lake.days("t")
    ]


def test_days_outside_the_range_are_left_out_and_days_that_touch_it_stay(lake: Lake) -> None:
    inside = data_files(lake.root / "t", START + 2 * DAY, START + 2 * DAY)
    assert days(inside) == ["ds=2026-01-02", "ds=2026-01-03"]
    later = data_files(lake.root / "t", START + 2 * DAY + MICROSECOND, None)
    assert days(later) == ["ds=2026-01-03", "ds=2026-01-04"]


def test_table_without_days_is_read_whole(tmp_path: Path) -> None:
    publish(Lake(tmp_path), "profile", None, SCHEMA.empty_table())
    assert len(data_files(tmp_path / "profile", START + 100 * DAY, None)) == 1


def test_error_names_the_manifest_when_it_is_damaged(lake: Lake) -> None:
    (lake.folder("t", START.date()) / MANIFEST).write_text("{")
    with pytest.raises(StoreError, match="ds=2026-01-01"):
        data_files(lake.root / "t")


def test_manifest_name_is_the_lakes() -> None:
    assert manifest.MANIFEST == MANIFEST
