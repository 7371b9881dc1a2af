"""Training sets: where they lie, and the rows of some of their days; light to import."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.days import Days, first_instant, snapshot_instant
from pipelines.lake import Lake


def training_set(service: str) -> str:
    """The lake table of a feature service's training sets."""
    return f"training_sets/{service}"


def encoded_folder(lake: Lake, service: str, ds: date) -> Path:
    """Where the encoded arrays of a training set lie."""
    return lake.root / "encoded" / service / f"ds={ds}"


def rows_of(table: pa.Table, days: Days) -> pa.Table:
    """The rows of a table whose event lies within `days`."""
    kind = table.schema.field("event_timestamp").type
    first = pa.scalar(first_instant(days.start), kind)
    after = pa.scalar(snapshot_instant(days.end), kind)
    instants = table["event_timestamp"]
    return table.filter(pc.and_(pc.greater_equal(instants, first), pc.less(instants, after)))
