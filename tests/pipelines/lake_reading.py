"""Read what a stage wrote, by manifest."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.days import Days
from pipelines.lake import Lake


def rows_of(lake: Lake, table: str, days: Days | date | None = None) -> list[dict[str, Any]]:
    """All rows of a table, in the order of its files."""
    asked = Days.one(days) if isinstance(days, date) else days
    return [row for path in lake.files(table, asked) for row in pq.read_table(path).to_pylist()]


def bytes_of(lake: Lake) -> dict[str, bytes]:
    """Every file a reader can reach, by its path in the lake."""
    hidden = ("_staging", "_locks")
    return {
        str(path.relative_to(lake.root)): Path(path).read_bytes()
        for path in sorted(lake.root.rglob("*"))
        if path.is_file() and path.relative_to(lake.root).parts[0] not in hidden
    }
