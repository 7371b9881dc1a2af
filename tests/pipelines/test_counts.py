"""A day's counts: they add up or they do not exist."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipelines.counts import DayCounts, read_counts, write_counts
from pipelines.errors import MissingPartitionError
from pipelines.lake import Lake

DAY = date(2026, 1, 1)


@pytest.mark.parametrize(("kept", "reasons"), [(6, {"no time": 2}), (7, {"no time": 1})])
def test_counts_are_refused_when_rows_are_unaccounted_for(kept: int, reasons: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=str(DAY)):
        DayCounts(ds=DAY, rows=10, kept=kept, duplicates=1, quarantined=2, reasons=reasons)


def test_counts_come_back_as_written(tmp_path: Path) -> None:
    counts = DayCounts(ds=DAY, rows=10, kept=7, duplicates=1, quarantined=2, reasons={"no time": 2})

    write_counts(Lake(tmp_path), counts)

    assert read_counts(Lake(tmp_path), DAY) == counts


def test_counts_name_the_command_when_the_day_was_never_ingested(tmp_path: Path) -> None:
    with pytest.raises(MissingPartitionError, match="gatehouse ingest --ds 2026-01-01"):
        read_counts(Lake(tmp_path), DAY)
