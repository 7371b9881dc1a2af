from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, ValueType
from feast.types import Array, Float32, Int64, String
from hypothesis import given, settings
from hypothesis import strategies as st

from features.store import open_store
from features.stores.online import PackedOnlineStore
from features.stores.packed import MISSING, RowCodec
from features.stores.source import LakeSource

INSTANT = pa.timestamp("us", "UTC")
START = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {
    "number": (Float32, pa.float32()),
    "other": (Float32, pa.float32()),
    "whole": (Int64, pa.int64()),
    "words": (String, pa.string()),
    "names": (Array(String), pa.list_(pa.string())),
    "times": (Array(Int64), pa.list_(pa.int64())),
}
floats = st.floats(width=32, allow_nan=False)
int64s = st.integers(-(2**63), 2**63 - 1)
values = st.fixed_dictionaries(
    {
        "number": st.none() | floats,
        "other": st.none() | floats,
        "whole": st.none() | int64s,
        "words": st.none() | st.text(),
        "names": st.none() | st.lists(st.text(), max_size=3),
        "times": st.none() | st.lists(int64s, max_size=3),
    }
)


def view_of(*features: str) -> FeatureView:
    return FeatureView(
        name="view",
        entities=[
            Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING),
            Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING),
        ],
        schema=[
            Field(name="user_id", dtype=String),
            Field(name="item_id", dtype=String),
            *(Field(name=name, dtype=TYPES[name][0]) for name in features),
        ],
        ttl=timedelta(days=1),
        source=LakeSource(folder=Path("/nowhere"), name="source"),
    )


VIEW = view_of(*TYPES)


def features_table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, (_, kind) in TYPES.items()})


def rows_of(
    keys: list[tuple[str, str]], numbers: list[float], event: datetime = START, created: datetime = START
) -> pa.Table:
    empty = dict.fromkeys(TYPES)
    table = features_table([{**empty, "number": number} for number in numbers])
    for name, column in (
        ("user_id", pa.array([user for user, _ in keys])),
        ("item_id", pa.array([item for _, item in keys])),
        ("event_timestamp", pa.array([event] * len(keys), INSTANT)),
        ("created_timestamp", pa.array([created] * len(keys), INSTANT)),
    ):
        table = table.append_column(name, column)
    return table


def plain(value: object) -> object:
    return None if isinstance(value, float | np.floating) and np.isnan(value) else value


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(values, max_size=5), missing=st.booleans())
def test_rows_come_back_as_they_were_packed(rows: list[dict[str, object]], missing: bool) -> None:
    codec = RowCodec(VIEW)
    packed: list[bytes | None] = [*codec.pack(features_table(rows)), *([None] if missing else [])]
    columns = codec.unpack(packed, list(TYPES))
    expected = [*rows, *([dict.fromkeys(TYPES)] if missing else [])]
    for name in TYPES:
        assert [plain(value) for value in list(columns[name])] == [row[name] for row in expected]


def test_row_is_not_found_when_it_was_written_under_another_schema(online: FeatureStore) -> None:
    store = packed(online)
    store.write_table(online.config, VIEW, rows_of([("u", "i")], [1.0]))
    changed = view_of("number", "whole")
    assert store.read_rows(online.config, changed, [("i", "u")], ["number"]).events.tolist() == [MISSING]


@pytest.fixture
def online() -> Iterator[FeatureStore]:
    with tempfile.TemporaryDirectory() as home:
        store = open_store(Path(home))
        packed(store).update(store.config, [], [VIEW], [], [], partial=True)
        yield store


def packed(store: FeatureStore) -> PackedOnlineStore:
    online = store._get_provider().online_store
    assert isinstance(online, PackedOnlineStore)
    return online


def read(store: FeatureStore, keys: list[tuple[str, str]]) -> list[object]:
    """`number` of (user, item) keys; the store wants ids by the names of their columns, item first."""
    rows = packed(store).read_rows(store.config, VIEW, [(item, user) for user, item in keys], ["number"])
    return [plain(float(value)) for value in rows.columns["number"]]


def test_keys_differ_when_their_concatenations_are_equal(online: FeatureStore) -> None:
    keys = [("1", "23"), ("12", "3"), ("", "123")]
    packed(online).write_table(online.config, VIEW, rows_of(keys, [1.0, 2.0, 3.0]))
    assert read(online, [*keys, ("123", "")]) == [1.0, 2.0, 3.0, None]


@pytest.mark.parametrize(
    ("event", "created", "kept"),
    [
        (START - timedelta(microseconds=1), START + timedelta(days=9), 1.0),
        (START, START - timedelta(microseconds=1), 1.0),
        (START, START, 2.0),
        (START, START + timedelta(microseconds=1), 2.0),
        (START + timedelta(microseconds=1), START - timedelta(days=9), 2.0),
    ],
)
def test_newest_event_and_then_newest_created_wins(
    online: FeatureStore, event: datetime, created: datetime, kept: float
) -> None:
    store = packed(online)
    store.write_table(online.config, VIEW, rows_of([("u", "i")], [1.0]))
    store.write_table(online.config, VIEW, rows_of([("u", "i")], [2.0], event, created))
    assert read(online, [("u", "i")]) == [kept]


def test_all_keys_are_found_when_there_are_more_than_a_query_takes(online: FeatureStore) -> None:
    keys = [("u", str(n)) for n in range(33_000)]
    packed(online).write_table(online.config, VIEW, rows_of(keys, [float(n) for n in range(33_000)]))
    assert read(online, keys) == [float(n) for n in range(33_000)]


def test_nothing_is_written_when_a_batch_fails_halfway(online: FeatureStore) -> None:
    whole = rows_of([("u", "i"), ("u", "j")], [1.0, 2.0])
    broken = whole.drop_columns(["event_timestamp"]).append_column(
        "event_timestamp", pa.array([START, None], INSTANT)
    )
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        packed(online).write_table(online.config, VIEW, broken)
    assert read(online, [("u", "i"), ("u", "j")]) == [None, None]


@pytest.mark.parametrize("names", [["number"], list(TYPES)])
def test_feast_reads_what_feast_pushed(online: FeatureStore, names: list[str]) -> None:
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    online.apply([user, item, VIEW])
    row = {
        "number": [1.5, None], "other": [None, 2.5], "whole": [7, 8], "words": ["", "zwölf"],
        "names": [[], ["a", "b"]], "times": [[1, 2], []],
    }  # fmt: skip
    keys = {"user_id": ["u", "u"], "item_id": ["i", "j"]}
    online.write_to_online_store(
        "view", inputs={**keys, **row, "event_timestamp": [START] * 2, "created_timestamp": [START] * 2}
    )
    found = online.get_online_features([f"view:{name}" for name in names], entity_rows=keys).to_dict()
    assert {name: found[name] for name in names} == {name: row[name] for name in names}
