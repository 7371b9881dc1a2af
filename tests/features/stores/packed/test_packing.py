"""Rows come back as they were packed, alone and beside others, whatever the schema has become."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from features.declarations.features import DType
from features.stores.packed.keys import encode_key
from features.stores.packed.schema import ViewSchema
from features.stores.packed.shapes import Shape, Shapes
from features.stores.packed.unpack import MISSING, unpack
from tests.features.stores.packed.rows import packed, plain, row_of, schemas

ids = st.text(max_size=4)
instants = st.integers(-(2**63) + 1, 2**63 - 1)


@settings(max_examples=150)
@given(data=st.data(), schema=schemas())
def test_rows_come_back_as_they_were_packed(data: st.DataObject, schema: ViewSchema) -> None:
    rows = data.draw(st.lists(st.none() | row_of(schema), max_size=5))
    there = [row for row in rows if row is not None]
    times = [(data.draw(instants), data.draw(instants)) for _ in there]
    values = iter(packed(schema, there, times))
    stored = [None if row is None else next(values) for row in rows]
    [found] = unpack(stored, [schema], Shapes([Shape((schema,))]).find)
    events = iter(event for event, _ in times)
    assert found.events.tolist() == [MISSING if row is None else next(events) for row in rows]
    assert plain(found) == [row or dict.fromkeys(schema.names) for row in rows]
    assert found.unwritten is None


@settings(max_examples=150)
@given(data=st.data(), old=schemas(), new=schemas())
def test_old_rows_give_what_both_schemas_have(data: st.DataObject, old: ViewSchema, new: ViewSchema) -> None:
    rows: list[dict[str, Any]] = data.draw(st.lists(row_of(old), min_size=1, max_size=3))
    newer: list[dict[str, Any]] = data.draw(st.lists(row_of(new), max_size=3))
    stored = [*packed(old, rows, [(1, 1)] * len(rows)), *packed(new, newer, [(2, 2)] * len(newer))]
    [found] = unpack(stored, [new], Shapes([Shape((old,)), Shape((new,))]).find)
    shared = [name for name, kind in new.features if old.kinds.get(name) is kind]
    expected = [{name: row[name] if name in shared else None for name in new.names} for row in rows]
    assert plain(found) == [*expected, *newer]
    if old != new:
        assert found.unwritten is not None
        lacking = [name not in shared for name in new.names]
        assert found.unwritten.tolist() == [lacking] * len(rows) + [[False] * len(lacking)] * len(newer)


def test_a_value_of_an_unknown_shape_is_none() -> None:
    schema = ViewSchema("view", ("user_id",), (("feature_a", DType.FLOAT),))
    [found] = unpack(packed(schema, [{"feature_a": 1.0}], [(1, 1)]), [schema], Shapes().find)
    assert found.events.tolist() == [MISSING]


@given(st.lists(st.lists(ids, min_size=2, max_size=3).map(tuple), unique=True, max_size=6))
def test_keys_differ_when_their_ids_do(keys: list[tuple[str, ...]]) -> None:
    by_length = {(len(key), encode_key(key)) for key in keys}
    assert len(by_length) == len(keys)
