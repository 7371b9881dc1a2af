"""Feast's own calls on the packed store: what is pushed comes back, by SQLite and by Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, ValueType
from feast.types import Array, Float32, Float64, Int64, String, from_feast_to_pyarrow_type
from pydantic import ValidationError

from features.serving.online import packed_store
from features.store import open_store
from features.stores.errors import StoreError
from features.stores.online import PackedOnlineStoreConfig
from features.stores.source import LakeSource
from features.stores.values import since_epoch
from tests.features.stores.stores import on_redis
from tests.valkeys import valkey

START = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {
    "number": Float32, "other": Float32, "whole": Int64, "words": String, "names": Array(String),
    "times": Array(Int64),
}  # fmt: skip
ENTITIES = [
    Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING),
    Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING),
]
ROWS = {
    "number": [1.5, None], "other": [None, 2.5], "whole": [7, 8], "words": ["", "zwölf"],
    "names": [[], ["a", "b"]], "times": [[1, 2], []],
}  # fmt: skip
KEYS = {"user_id": ["u", "u"], "item_id": ["i", "j"]}


def view_of(types: dict[str, Any]) -> FeatureView:
    return FeatureView(
        name="view",
        entities=ENTITIES,
        schema=[
            *(Field(name=key, dtype=String) for key in KEYS),
            *(Field(name=name, dtype=dtype) for name, dtype in types.items()),
        ],
        ttl=timedelta(days=1),
        source=LakeSource(folder=Path("/nowhere"), name="source"),
    )


@pytest.fixture(params=["sqlite", pytest.param("valkey", marks=pytest.mark.redis)])
def online(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FeatureStore]:
    with valkey() if request.param == "valkey" else nullcontext() as url:
        if url is not None:
            monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(on_redis(tmp_path / "redis.yaml", url)))
        store = open_store(tmp_path)
        store.apply([*ENTITIES, view_of(TYPES)])
        yield store


def push(store: FeatureStore, rows: dict[str, list[Any]], event: datetime, created: datetime) -> None:
    times = {"event_timestamp": [event] * 2, "created_timestamp": [created] * 2}
    store.write_to_online_store("view", inputs={**KEYS, **rows, **times})


def read(store: FeatureStore, names: list[str], keys: dict[str, list[str]] = KEYS) -> dict[str, Any]:
    found = store.get_online_features([f"view:{name}" for name in names], entity_rows=keys).to_dict()
    return {name: found[name] for name in names}


@pytest.mark.parametrize("names", [["number"], list(TYPES)])
def test_feast_reads_what_feast_pushed(online: FeatureStore, names: list[str]) -> None:
    push(online, ROWS, START, START)
    assert read(online, names) == {name: ROWS[name] for name in names}
    assert read(online, ["number"], {"user_id": ["nobody"], "item_id": ["i"]}) == {"number": [None]}


def test_a_correction_of_the_same_instant_arrives_and_an_old_row_does_not(online: FeatureStore) -> None:
    push(online, ROWS, START, START)
    push(online, {**ROWS, "number": [9.0, 9.0]}, START, START + timedelta(hours=1))
    push(online, {**ROWS, "number": [0.0, 0.0]}, START - timedelta(hours=1), START + timedelta(days=9))
    assert read(online, ["number"]) == {"number": [9.0, 9.0]}


def test_the_async_twins_do_the_same(online: FeatureStore) -> None:
    push(online, ROWS, START, START)
    store, view = packed_store(online), online.get_feature_view("view")
    keys = [_key("u", "i"), _key("u", "j")]
    expected = store.online_read(online.config, view, keys)
    assert asyncio.run(store.online_read_async(online.config, view, keys)) == expected
    rows = [(key, values, event, None) for key, (event, values) in zip(keys, reversed(expected), strict=True)]
    asyncio.run(store.online_write_batch_async(online.config, view, rows, None))
    assert [values for _, values in store.online_read(online.config, view, keys)] == [
        values for _, values in reversed(expected)
    ]


def test_a_view_that_gained_a_feature_keeps_its_rows(online: FeatureStore) -> None:
    push(online, ROWS, START, START)
    online.apply([*ENTITIES, view_of({**TYPES, "fresh": Float32})])
    assert read(online, ["number", "fresh"]) == {"number": ROWS["number"], "fresh": [None, None]}


def test_a_view_that_is_deleted_and_applied_again_is_empty(online: FeatureStore) -> None:
    push(online, ROWS, START, START)
    view = online.get_feature_view("view")
    online.apply([], objects_to_delete=[view, view.batch_source], partial=False)
    online.apply([view_of(TYPES)])
    assert read(online, ["number"]) == {"number": [None, None]}


def test_a_row_that_has_outlived_its_ttl_is_not_found_once_a_snapshot_is_served(online: FeatureStore) -> None:
    view, store = online.get_feature_view("view"), packed_store(online)
    push(online, ROWS, START, START)
    late = START + view.ttl
    for instant, found in ((late, ROWS["number"]), (late + timedelta(microseconds=1), [None, None])):
        with store.building(online.config, [view], {}) as serve:
            store.write_table(online.config, view, table_of(START))
            serve({"instant": since_epoch(instant)})
        assert read(online, ["number"]) == {"number": found}


def test_teardown_forgets_everything(online: FeatureStore) -> None:
    push(online, ROWS, START, START)
    online.teardown()
    online.apply([*ENTITIES, view_of(TYPES)])
    assert read(online, ["number"]) == {"number": [None, None]}


def test_a_row_without_a_time_stops_the_write_before_any_row_is_written(online: FeatureStore) -> None:
    view, store = online.get_feature_view("view"), packed_store(online)
    with pytest.raises(StoreError, match="1 of 2 rows for view view have no event_timestamp"):
        store.write_table(online.config, view, table_of(START, None))
    assert read(online, ["number"]) == {"number": [None, None]}


def test_a_type_that_rows_cannot_hold_is_refused_when_it_is_applied(online: FeatureStore) -> None:
    with pytest.raises(StoreError, match=r"'precise' of view view is a Float64.*Cast it"):
        online.apply([*ENTITIES, view_of({"precise": Float64})])


@pytest.mark.parametrize("settings", [{}, {"path": "online.db", "url": "redis://localhost"}])
def test_settings_name_one_place(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="`path` for SQLite or `url`"):
        PackedOnlineStoreConfig(**settings)


def test_a_password_in_the_url_is_not_printed() -> None:
    settings = PackedOnlineStoreConfig(url="redis://:secret@localhost:6379")
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings.model_dump())


def table_of(first: datetime, second: datetime | None = START) -> pa.Table:
    instants = pa.array([first, second], pa.timestamp("us", "UTC"))
    columns = {
        name: pa.array(values, from_feast_to_pyarrow_type(TYPES[name])) for name, values in ROWS.items()
    }
    return pa.table({**KEYS, **columns, "event_timestamp": instants, "created_timestamp": instants})


def _key(user: str, item: str) -> Any:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    return EntityKey(
        join_keys=["user_id", "item_id"], entity_values=[Value(string_val=user), Value(string_val=item)]
    )
