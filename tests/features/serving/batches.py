"""Batches made by hand, as a lookup would give them back: one view with a feature of every type."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from features.declarations.features import DType
from features.serving.batch import FeatureBatch, ViewBatch
from features.serving.served import Served, ServedView
from features.stores.arrow_types import ARROW_TYPES
from features.stores.packed.schema import ViewSchema
from features.stores.packed.unpack import ViewRows

KINDS = tuple((str(kind.name).lower(), kind) for kind in DType)
SCHEMA = ViewSchema("made_up", ("item_id",), tuple(sorted(KINDS)))
SERVED = Served(
    dataset="simulated", ds=date(2026, 1, 3), views={"made_up": ServedView(content="0" * 16, rows=1)}
)


def batch_of(rows: Sequence[dict[str, Any]], stale: Sequence[int] = ()) -> FeatureBatch:
    """One item a row, whose features are `rows`; a missing one is null."""

    def column(name: str) -> list[Any]:
        return [row.get(name) for row in rows]

    size = len(rows)
    ints, floats = column("int"), column("float")
    found = ViewRows(
        SCHEMA,
        np.zeros(size, np.int64),
        np.array([np.nan if value is None else value for value in floats], np.float32).reshape(size, 1),
        np.array([value or 0 for value in ints], np.int64).reshape(size, 1),
        np.array([[row.get(name) is None for name in SCHEMA.masked] for row in rows], bool).reshape(
            size, len(SCHEMA.masked)
        ),
        {
            name: pa.array(column(name), ARROW_TYPES[kind])
            for name, kind in KINDS
            if kind not in (DType.FLOAT, DType.INT)
        },
    )
    view = ViewBatch(found, np.isin(np.arange(size), stale), None, size)
    return FeatureBatch(
        given={"user_id": "user-0", "item_id": [f"item-{row}" for row in range(size)]},
        views={"made_up": view},
        outputs={f"made_up__{name}": ("made_up", name) for name, _ in KINDS},  # type: ignore[arg-type]
        instant=datetime(2026, 1, 4, tzinfo=UTC),
        size=size,
        served=SERVED,
    )
