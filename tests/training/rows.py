"""Training sets with a planted signal, in the shape `assemble` writes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.declarations.catalog import AuxiliaryTask, Catalog
from features.declarations.features import DType
from features.declarations.simulated import CATALOG, DWELL_SECONDS
from pipelines.days import Days

START = date(2026, 1, 1)
ASKING = replace(CATALOG, auxiliaries=(AuxiliaryTask("dwelt", DWELL_SECONDS, at_least=1.0),))
"""The simulated catalog with an auxiliary task, which models learn if they are told a weight."""


def days(train: int = 2, validation: int = 1, test: int = 1) -> dict[str, Days]:
    """Splits that begin on `START`."""
    first = Days.ending(START + timedelta(days=train - 1), train)
    second = Days.ending(first.end + timedelta(days=validation), validation)
    return {
        "train": first,
        "validation": second,
        "test": Days.ending(second.end + timedelta(days=test), test),
    }


def training_rows(
    catalog: Catalog, rows: int = 2000, total_days: int = 4, seed: int = 0, users: int = 60, items: int = 40
) -> pa.Table:
    """`rows` events spread over days from `START`; labels depend on user, item and scenario."""
    rng = np.random.default_rng(seed)
    instants = np.sort(rng.integers(0, total_days * 86_400_000_000, rows))
    begin = int(datetime(START.year, START.month, START.day, tzinfo=UTC).timestamp() * 1e6)
    user, item = rng.integers(0, users, rows), rng.integers(0, items, rows)
    scenario = user % 3
    columns: dict[str, Any] = {
        "event_id": pa.array([f"e{i}" for i in range(rows)]),
        "event_timestamp": pa.array(instants + begin, pa.timestamp("us", tz="UTC")),
    }
    numbers = {"user": user, "item": item, "scenario": scenario}
    for entity in catalog.entities:
        values = numbers.get(entity.name, item % 7)
        columns[entity.column] = pa.array([f"{entity.name}{value}" for value in values])
    taste = rng.normal(size=(users, 3))[user] * rng.normal(size=(items, 3))[item]
    columns |= _outcomes(catalog, taste, scenario, rng)
    for feature in catalog.context:
        columns[feature.name] = pa.array([str(hour) for hour in instants // 3_600_000_000 % 24])
    held = rng.integers(0, 15, rows)
    for name, feature in catalog.service_columns(catalog.services[0].name):
        match feature.dtype:
            case DType.FLOAT:
                values = rng.normal(size=rows) + taste[:, 0]
                columns[name] = pa.array(values.astype(np.float32), mask=rng.random(rows) < 0.1)
            case DType.INT:
                since = instants + begin - rng.integers(1, 10**12, rows)
                columns[name] = pa.array(since, mask=rng.random(rows) < 0.1)
            case DType.STRING:
                columns[name] = pa.array(rng.choice(["a", "b", None], rows).tolist(), pa.string())
            case DType.STRINGS:
                entity = feature.name.removesuffix("_ids")
                columns[name] = pa.array(
                    [[f"{entity}{v}" for v in rng.integers(0, 7, n)] for n in held], pa.list_(pa.string())
                )
            case DType.INTS:
                columns[name] = pa.array(
                    [
                        sorted((int(now) - rng.integers(1, 10**10, n)).tolist(), reverse=True)
                        for now, n in zip(instants + begin, held, strict=True)
                    ],
                    pa.list_(pa.int64()),
                )
    return pa.table(columns)


def _outcomes(
    catalog: Catalog, taste: NDArray[np.float64], scenario: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, pa.Array]:
    rows, columns = len(taste), dict[str, pa.Array]()
    for position, task in enumerate(catalog.tasks):
        logit = 2.0 * taste.sum(axis=1) + scenario - 1.0 - position
        label = (rng.random(rows) < 1.0 / (1.0 + np.exp(-logit))).astype(np.int8)
        missing = rng.random(rows) < 0.05 * position
        columns[task.column] = pa.array(label, mask=missing)
    for quantity in catalog.asked_for:
        values = np.exp(taste[:, 0] + rng.normal(size=rows)).astype(np.float32)
        columns[quantity.name] = pa.array(values, mask=rng.random(rows) < 0.1)
    return columns
