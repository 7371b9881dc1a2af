from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

from features.stores.offline import GatehouseOfflineStore
from tests.features.stores.stores import ROWS, SPINE, service_store
from tests.features.stores.tables import START

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A store with one view over ROWS."""
    return service_store(tmp_path, ROWS)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("filtered", [False, True])
def test_feast_joins_point_in_time_whatever_its_created_filter_says(
    store: FeatureStore, full: bool, filtered: bool
) -> None:
    job = store.get_historical_features(
        SPINE, ["view:value"], full_feature_names=full, filter_by_created_timestamp=filtered
    )
    assert job.to_arrow()["view__value" if full else "value"].to_pylist() == [2.0, 4.0, None]


def test_frame_and_arrow_spines_give_the_same_features(store: FeatureStore) -> None:
    frame = store.get_historical_features(SPINE.to_pandas(), ["view:value"]).to_df()
    assert frame["value"].fillna(-1).tolist() == [2.0, 4.0, -1.0]
    assert list(frame["user_id"]) == ["u", "v", "w"]


def test_spine_column_is_a_key_under_another_name_when_the_view_is_joined_so(store: FeatureStore) -> None:
    view = store.get_feature_view("view").with_join_key_map({"user_id": "friend_id"})
    job = GatehouseOfflineStore.get_historical_features(
        store.config,
        [view],
        ["view:value"],
        SPINE.rename_columns(["friend_id", "item_id", "event_timestamp"]),
        store.registry,
        store.project,
    )
    assert job.to_arrow()["value"].to_pylist() == [2.0, 4.0, None]


def test_parquet_file_holds_what_arrow_does(store: FeatureStore, tmp_path: Path) -> None:
    job = store.get_historical_features(SPINE, ["view:value"])
    assert job.to_parquet(tmp_path / "out" / "set.parquet") == 3
    assert pq.read_table(tmp_path / "out" / "set.parquet").equals(job.to_arrow())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["set.parquet"]


def test_saved_data_set_is_not_replaced_unless_that_is_allowed(store: FeatureStore, tmp_path: Path) -> None:
    storage = SavedDatasetFileStorage(path=str(tmp_path / "set.parquet"))
    job = store.get_historical_features(SPINE, ["view:value"])
    job.persist(storage)
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)


def pull(store: FeatureStore, latest: bool, start: int, end: int) -> list[tuple[str, float]]:
    ask = (
        GatehouseOfflineStore.pull_latest_from_table_or_query
        if latest
        else GatehouseOfflineStore.pull_all_from_table_or_query
    )
    source = store.get_feature_view("view").batch_source
    keys, times = ["user_id", "item_id"], ("event_timestamp", "created_timestamp")
    job = ask(store.config, source, keys, ["value"], *times, START + start * DAY, START + end * DAY)
    table: pa.Table = job.to_arrow()
    assert table.column_names == [*keys, "value", *times]
    return list(zip(table["user_id"].to_pylist(), table["value"].to_pylist(), strict=True))


def test_latest_row_is_the_newest_event_and_of_these_the_newest_created(store: FeatureStore) -> None:
    assert sorted(pull(store, latest=True, start=0, end=9)) == [("u", 3.0), ("v", 4.0)]
    assert sorted(pull(store, latest=True, start=0, end=0)) == [("u", 1.0), ("v", 4.0)]
    assert pull(store, latest=True, start=5, end=9) == []


def test_all_rows_within_the_range_are_pulled_with_both_its_ends(store: FeatureStore) -> None:
    assert pull(store, latest=False, start=0, end=1) == [("u", 1.0), ("u", 2.0), ("u", 3.0), ("v", 4.0)]
    assert pull(store, latest=False, start=1, end=1) == [("u", 2.0), ("u", 3.0)]


def test_push_to_the_lake_is_refused_in_words(store: FeatureStore) -> None:
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["i"], "event_timestamp": [START], "value": [1.0]})
    with pytest.raises(NotImplementedError, match="gatehouse aggregate"):
        store.write_to_offline_store("view", frame.assign(created_timestamp=START), reorder_columns=True)
