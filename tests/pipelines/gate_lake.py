"""Lakes that pass every gate, made from the declarations alone, for tests to poison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.declarations.catalog import Catalog
from features.declarations.features import DType, Feature
from features.declarations.groups import Profile, SequenceGroup, View
from features.stores.arrow_types import ARROW_TYPES
from pipelines.days import Days, first_instant, snapshot_instant
from pipelines.lake import Lake

INSTANT = pa.timestamp("us", tz="UTC")


def publish(lake: Lake, table: str, ds: date | None, rows: pa.Table) -> None:
    with lake.staging() as staging:
        pq.write_table(rows, staging / "part-0.parquet")
        lake.publish(table, ds, staging.iterdir(), {})


def events(catalog: Catalog, ds: date, rows: int = 40) -> pa.Table:
    """A day of events, every label 1 and 0 in turns."""
    rng = np.random.default_rng(ds.toordinal())
    times = [first_instant(ds) + timedelta(seconds=second) for second in range(rows)]
    columns: dict[str, Any] = {
        "event_id": pa.array([f"{ds}-{row:06d}" for row in range(rows)], pa.string()),
        "event_timestamp": pa.array(times, INSTANT),
        "created_timestamp": pa.array(times, INSTANT),
    }
    for entity in catalog.entities:
        columns[entity.column] = pa.array(rng.integers(0, 50, rows).astype(str))
    for task in catalog.tasks:
        columns[task.column] = pa.array(np.arange(rows) % 2, pa.int8())
    for quantity in catalog.quantities:
        low = 0.0 if quantity.low is None else quantity.low
        columns[quantity.name] = pa.array(rng.uniform(low, low + 1.0, rows), pa.float32())
    return pa.table(columns | {feature.name: values(feature, rows, rng) for feature in catalog.context})


def snapshot(view: View, instant: datetime, rows: int = 20, width: int = 3) -> pa.Table:
    """A snapshot of a view as of an instant; the rows' keys are distinct."""
    rng = np.random.default_rng(rows)
    columns: dict[str, Any] = {
        key.column: pa.array([f"{row // 4 if index else row}" for row in range(rows)], pa.string())
        for index, key in enumerate(view.keys)
    }
    columns |= dict.fromkeys(("event_timestamp", "created_timestamp"), pa.array([instant] * rows, INSTANT))
    width = min(width, view.length) if isinstance(view, SequenceGroup) else width
    columns |= {feature.name: values(feature, rows, rng, width) for feature in view.features}
    links = view.links if isinstance(view, Profile) else ()
    return pa.table(columns | {link.column: pa.array(["1"] * rows, pa.string()) for link in links})


def training_set(catalog: Catalog, service: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Events of some days, with a value for every feature of a service."""
    later = ["created_timestamp", *(quantity.name for quantity in catalog.quantities)]
    rows = pa.concat_tables(parts).drop_columns(later)
    rng = np.random.default_rng(0)
    for name, feature in catalog.service_columns(service):
        rows = rows.append_column(name, values(feature, rows.num_rows, rng))
    return rows


def values(feature: Feature, rows: int, rng: np.random.Generator, width: int = 3) -> pa.Array:
    """Valid values of a feature."""
    if feature.dtype.is_list:
        items = rng.integers(0, 50, rows * width)
        flat = items.astype(str) if feature.dtype is DType.STRINGS else items
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), width).cast(ARROW_TYPES[feature.dtype])
    if feature.dtype is DType.STRING:
        return pa.array(rng.integers(0, 5, rows).astype(str))
    low = 0.0 if feature.low is None else feature.low
    high = low + 1.0 if feature.high is None else feature.high
    if feature.dtype is DType.INT:
        return pa.array(rng.integers(int(low), int(high) + 1000, rows), pa.int64())
    return pa.array(rng.uniform(low, high, rows)).cast(ARROW_TYPES[feature.dtype])


def write_events(lake: Lake, catalog: Catalog, days: Days, rows: int = 40) -> None:
    for ds in days:
        publish(lake, "events", ds, events(catalog, ds, rows))


def write_views(lake: Lake, catalog: Catalog, days: Days, rows: Mapping[str, int] | int = 20) -> None:
    """Snapshots of every group for `days`, and the profiles as of the first of them."""
    for view in catalog.views:
        count = rows if isinstance(rows, int) else rows[view.name]
        if isinstance(view, Profile):
            publish(lake, f"features/{view.name}", None, snapshot(view, first_instant(days.start), count))
            continue
        for ds in days:
            publish(lake, f"features/{view.name}", ds, snapshot(view, snapshot_instant(ds), count))
