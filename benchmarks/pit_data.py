"""A made-up lake and spine for the point-in-time benchmark, from a seed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.days import DAY
from pipelines.lake import Lake

FIRST = date(2026, 1, 1)
DAYS = 10
TTL = timedelta(days=7)
VIEWS = {"item": ["item_id"], "user_scenario": ["user_id", "scenario"]}
FEATURES = 10  # of each view
SCENARIOS = 5
INSTANT = pa.timestamp("us", "UTC")
_DAY = 86_400_000_000  # microseconds


def features_of(view: str) -> list[str]:
    return [f"{view}_f{index}" for index in range(FEATURES)]


def write_lake(folder: Path, rows_a_day: int) -> None:
    """Two views of `rows_a_day` times DAYS rows: snapshots of items, and users' rows at any instant."""
    lake, chance = Lake(folder), np.random.default_rng(7)
    for day in range(DAYS):
        ds = FIRST + day * DAY
        chosen = chance.permutation(rows_a_day)
        snapshots = np.full(rows_a_day, _instant(day + 1))
        events = _instant(day) + chance.integers(0, _DAY, rows_a_day)
        users = {"user_id": _ids(chosen // SCENARIOS), "scenario": _ids(chosen % SCENARIOS)}
        _publish(lake, "item", ds, {"item_id": _ids(chosen)}, snapshots, chance)
        _publish(lake, "user_scenario", ds, users, events, chance)


def write_spine(path: Path, rows: int, rows_a_day: int) -> None:
    """`rows` events; one key in eleven is in no view."""
    chance = np.random.default_rng(rows)
    keys = rows_a_day * 11 // 10
    events = _instant(2) + chance.integers(0, (DAYS - 2) * _DAY, rows)
    columns = {
        "event_id": _ids(np.arange(rows)),
        "item_id": _ids(chance.integers(0, keys, rows)),
        "user_id": _ids(chance.integers(0, keys // SCENARIOS, rows)),
        "scenario": _ids(chance.integers(0, SCENARIOS, rows)),
        "event_timestamp": pa.array(events).cast(INSTANT),
        "label": pa.array(chance.integers(0, 2, rows).astype(np.int8)),
    }
    pq.write_table(pa.table(columns), path)


def _publish(
    lake: Lake,
    view: str,
    ds: date,
    keys: dict[str, pa.Array],
    events: np.ndarray,
    chance: np.random.Generator,
) -> None:
    times = pa.array(events).cast(INSTANT)
    columns = keys | {"event_timestamp": times, "created_timestamp": times}
    columns |= {name: pa.array(chance.random(len(events), np.float32)) for name in features_of(view)}
    with lake.staging() as staged:
        pq.write_table(pa.table(columns), staged / "part.parquet")
        lake.publish(f"features/{view}", ds, [staged / "part.parquet"], {})


def _instant(day: int) -> int:
    return ((FIRST - date(1970, 1, 1)).days + day) * _DAY


def _ids(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.string())
