from __future__ import annotations

import shutil
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore

from features.declarations.catalogs import find_catalog
from features.declarations.features import DType
from features.serving.batch import Status
from features.serving.lookup import FeatureLookup
from features.serving.online import packed_store
from features.serving.served import Served
from features.store import open_store
from features.stores.errors import StoreError
from features.stores.packed.generations import withdraw
from features.stores.packed.pointer import Pointer
from pipelines.days import Days, snapshot_instant
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.features.hand_made_lake import settings_of, write_lake
from tests.features.stores.stores import on_redis
from tests.valkeys import valkey

DATASET = "kuairand-pure"  # the one whose items link to two entities
DAYS = Days(start=date(2022, 5, 6), end=date(2022, 5, 8))
DS = DAYS.end
AT = snapshot_instant(DS)
ITEMS = ["item-0", "item-2", "item-1", "item-0", "never seen"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three days of hand-made snapshots, materialized."""
    settings = settings_of(tmp_path_factory.mktemp("home"), DATASET)
    write_lake(settings.lake, settings.catalog, DAYS, ids=3)
    materialize(settings, DS)
    return settings


@pytest.fixture
def lookup(settings: Settings) -> FeatureLookup:
    return FeatureLookup(open_store(settings.home), settings.catalog, "ranker_v1")


def plain(column: Any) -> list[Any]:
    """Values with NaN as None."""
    if isinstance(column, np.ndarray):
        return [None if np.isnan(value) else float(value) for value in column]
    return column.to_pylist()


@pytest.mark.parametrize("user", ["user-0", "user-1", "user-2", "nobody"])
def test_online_values_equal_the_offline_join_at_the_served_instant(
    settings: Settings, lookup: FeatureLookup, user: str
) -> None:
    online = lookup.batch(scenario="scenario-1", user=user, items=ITEMS).columns
    ids = {entity.column: online[entity.column] for entity in settings.catalog.entities}
    spine = pa.table({**ids, "event_timestamp": pa.array([AT] * len(ITEMS), pa.timestamp("us", "UTC"))})
    store = open_store(settings.home)
    service = store.get_feature_service("ranker_v1")
    offline = store.get_historical_features(spine, service, full_feature_names=True).to_arrow()
    for name, _ in settings.catalog.service_columns("ranker_v1"):
        assert plain(online[name]) == offline[name].to_pylist(), name


def test_columns_are_those_of_a_training_set(settings: Settings, lookup: FeatureLookup) -> None:
    columns = lookup.batch(scenario="scenario-1", user="user-0", items=ITEMS).columns
    ids = [entity.column for entity in settings.catalog.entities]
    features = [name for name, _ in settings.catalog.service_columns("ranker_v1")]
    assert list(columns) == [*ids, "hour", *features]
    assert {len(column) for column in columns.values()} == {len(ITEMS)}


def test_links_of_an_item_are_followed(settings: Settings, lookup: FeatureLookup) -> None:
    columns = lookup.batch(scenario="scenario-1", user="user-0", items=ITEMS).columns
    store = open_store(settings.home)
    profile = store.get_online_features(
        ["item_profile:author_id", "item_profile:tag_id"], {"item_id": ITEMS}
    ).to_dict()
    assert columns["author_id"].to_pylist() == profile["author_id"]
    assert columns["tag_id"].to_pylist() == profile["tag_id"]
    assert columns["author_id"][-1].as_py() is None


def test_hour_is_that_of_the_instant_unless_the_request_says_otherwise(lookup: FeatureLookup) -> None:
    asked = {"scenario": "scenario-1", "user": "user-0", "items": ["item-0"]}
    assert lookup.batch(**asked).columns["hour"].to_pylist() == ["0"]
    assert lookup.batch(**asked, at=AT + timedelta(hours=13)).columns["hour"].to_pylist() == ["13"]
    assert lookup.batch(**asked, context={"hour": "7"}).columns["hour"].to_pylist() == ["7"]


def test_row_is_stale_past_its_ttl_and_not_at_its_end(lookup: FeatureLookup) -> None:
    asked = {"scenario": "scenario-1", "user": "user-0", "items": ["item-0"]}
    last = AT + timedelta(days=14)  # the longest window of an engagement group
    at_the_end = lookup.batch(**asked, at=last).counts
    after = lookup.batch(**asked, at=last + timedelta(microseconds=1)).counts
    found = [name for name in at_the_end if at_the_end[name][Status.PRESENT] and "engagement" in name]
    assert found
    newest = [name for name in found if not after[name][Status.PRESENT]]
    assert newest
    assert all(after[name][Status.STALE] for name in newest)
    assert after["user_profile"][Status.PRESENT], "a profile does not age"


def test_statuses_count_each_distinct_key_once(lookup: FeatureLookup) -> None:
    statuses = lookup.batch(scenario="scenario-1", user="nobody", items=["item-0"] * 50).counts
    assert statuses["user_engagement"] == Counter({Status.NOT_FOUND: 12})
    assert statuses["item_profile"].total() == 7


def test_lookup_of_no_items_has_empty_columns(lookup: FeatureLookup) -> None:
    columns = lookup.batch(scenario="scenario-1", user="user-0", items=[]).columns
    assert {len(column) for column in columns.values()} == {0}


def test_error_says_what_to_run_when_nothing_is_served(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gatehouse materialize"):
        FeatureLookup(open_store(tmp_path), find_catalog("simulated"), "ranker_v1")


def point(store: FeatureStore, pointer: Pointer) -> None:
    backend = packed_store(store).backend(store.config)
    assert backend.replace_pointer(backend.pointer(), pointer.dump())


def test_error_names_both_data_sets_when_another_one_is_served(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    point(store, Pointer(served=Served(dataset="movielens-100k", ds=DS, views={}).record()))
    with pytest.raises(StoreError, match=r"serves movielens-100k, not simulated.*gatehouse use"):
        FeatureLookup(store, find_catalog("simulated"), "ranker_v1")


def test_error_is_raised_when_the_snapshot_is_withdrawn_under_a_lookup(
    settings: Settings, tmp_path: Path
) -> None:
    shutil.copytree(settings.home, tmp_path / "home")
    store = open_store(tmp_path / "home")
    lookup = FeatureLookup(store, settings.catalog, "ranker_v1")
    withdraw(packed_store(store).backend(store.config))
    with pytest.raises(StoreError, match="serves nothing"):
        lookup.batch(scenario="scenario-1", user="user-0", items=["item-0"])


def test_record_of_what_is_served_is_refused_when_it_is_damaged(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    point(store, Pointer(served={"dataset": 1}))
    with pytest.raises(StoreError, match=r"cannot be read.*gatehouse materialize"):
        FeatureLookup(store, find_catalog("simulated"), "ranker_v1")


def test_a_lookup_is_opened_by_service_and_home(settings: Settings, lookup: FeatureLookup) -> None:
    asked: dict[str, Any] = {"scenario": "scenario-1", "user": "user-0", "items": ITEMS}
    opened = FeatureLookup.open("ranker_v1", settings.home)
    np.testing.assert_array_equal(opened.batch(**asked).matrix(), lookup.batch(**asked).matrix())


def test_a_matrix_has_the_columns_asked_for_in_their_order(lookup: FeatureLookup) -> None:
    batch = lookup.batch(scenario="scenario-1", user="user-0", items=ITEMS)
    numbers = [
        name for name, feature in lookup.catalog.service_columns("ranker_v1")
        if feature.dtype in (DType.FLOAT, DType.INT)
    ]  # fmt: skip
    backwards = numbers[::-1]
    expected = [
        [np.nan if value is None else value for value in plain(batch.columns[name])] for name in backwards
    ]
    np.testing.assert_array_equal(batch.matrix(backwards), np.array(expected, np.float32).T)
    np.testing.assert_array_equal(batch.matrix()[:, ::-1], batch.matrix(backwards))
    with pytest.raises(KeyError, match="user_id"):
        batch.matrix(["user_id"])


@pytest.mark.redis
def test_valkey_serves_the_same_values_by_one_setting(
    settings: Settings, lookup: FeatureLookup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"scenario": "scenario-1", "user": "user-0", "items": ITEMS}
    embedded = lookup.batch(**asked).columns
    with valkey() as url:
        monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(on_redis(tmp_path / "redis.yaml", url)))
        moved = Settings(home=tmp_path / "home")
        shutil.copytree(settings.home, moved.home)
        materialize(moved, DS)
        through_redis = FeatureLookup(open_store(moved.home), moved.catalog, "ranker_v1").batch(**asked)
        for name, column in embedded.items():
            assert plain(through_redis.columns[name]) == plain(column), name
