"""Schemas and random rows of them, with what must come back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from features.declarations.features import DType
from features.stores.arrow_types import ARROW_TYPES
from features.stores.packed.pack import pack
from features.stores.packed.schema import ViewSchema
from features.stores.packed.unpack import ViewRows

_int64s = st.integers(-(2**63), 2**63 - 1)
VALUES: Mapping[DType, st.SearchStrategy[Any]] = {
    DType.FLOAT: st.none() | st.floats(width=32, allow_nan=False),
    DType.INT: st.none() | _int64s,
    DType.STRING: st.none() | st.text(max_size=5),
    DType.STRINGS: st.none() | st.lists(st.text(max_size=4), max_size=3),
    DType.INTS: st.none() | st.lists(_int64s, max_size=3),
}
names = st.sampled_from([f"feature_{letter}" for letter in "abcdefg"])


@st.composite
def schemas(draw: st.DrawFn, name: str = "view", keys: tuple[str, ...] = ("user_id",)) -> ViewSchema:
    """A view of up to seven features of any types."""
    features = draw(st.dictionaries(names, st.sampled_from(list(DType)), min_size=1, max_size=7))
    return ViewSchema(name, keys, tuple(sorted(features.items())))


def row_of(schema: ViewSchema) -> st.SearchStrategy[dict[str, Any]]:
    """A value, or None, for each feature."""
    return st.fixed_dictionaries({name: VALUES[kind] for name, kind in schema.features})


def packed(
    schema: ViewSchema, rows: Sequence[Mapping[str, Any]], times: Sequence[tuple[int, int]]
) -> list[bytes]:
    """Values that hold `rows`, with the (event, created) of each."""
    table = pa.table(
        {name: pa.array([row[name] for row in rows], ARROW_TYPES[kind]) for name, kind in schema.features}
    )
    events, created = (pa.array([time[place] for time in times], pa.int64()) for place in (0, 1))
    return pack(schema, table, events, created)


def plain(rows: ViewRows) -> list[dict[str, Any]]:
    """What came back, a dictionary a row."""
    columns = {}
    for name in rows.schema.names:
        column = rows.column(name)
        columns[name] = column.to_pylist() if isinstance(column, pa.Array) else column.tolist()
    return [
        {name: _plain(column[place]) for name, column in columns.items()} for place in range(len(rows.events))
    ]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
