from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SavedDatasetSparkStorage
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

from features.stores.offline import GatehouseOfflineStore
from features.stores.retrieval import LakeRetrievalJob
from tests.features.stores.stores import ROWS, SPINE, service_store
from tests.features.stores.tables import MICROSECOND, START, Row
from tests.spark_conf import changed

pytestmark = pytest.mark.spark

DAY = timedelta(days=1)
FOUND = [2.0, 4.0, None]


@pytest.fixture
def store(spark: Any, tmp_path: Path) -> FeatureStore:
    """A store over ROWS whose engine is Spark."""
    return service_store(tmp_path, ROWS, engine="spark")


def features_of(store: FeatureStore, spine: Any) -> Any:
    return store.get_historical_features(spine, store.get_feature_service("service"))


def values(frame: Any) -> list[float | None]:
    """The feature of each row of a Spark result, by user, as Spark's own spines have no order."""
    return [row.value for row in frame.orderBy("user_id", "event_timestamp").collect()]


def test_spark_spine_is_joined_in_spark_whatever_engine_is_set(spark: Any, tmp_path: Path) -> None:
    store = service_store(tmp_path, ROWS, engine="duckdb")
    assert type(features_of(store, SPINE)) is LakeRetrievalJob
    frame = features_of(store, spark.createDataFrame(SPINE)).to_spark_df()
    assert frame.columns == ["user_id", "item_id", "event_timestamp", "value"]
    assert values(frame) == FOUND


def test_rows_meet_no_python_when_a_plan_is_made(spark: Any, store: FeatureStore) -> None:
    frame = features_of(store, spark.createDataFrame(SPINE)).to_spark_df()
    plan = frame._jdf.queryExecution().executedPlan().toString()
    assert "Window" in plan
    assert "Python" not in plan
    assert "mapInArrow" not in plan


def test_rows_are_sorted_by_one_number_before_they_are_by_key(spark: Any, store: FeatureStore) -> None:
    frame = features_of(store, spark.createDataFrame(SPINE)).to_spark_df()
    plan = frame._jdf.queryExecution().executedPlan().toString()
    by_key, by_number = (line.strip(" +-:") for line in plan.splitlines() if "Sort [" in line)
    assert re.match(r"Sort \[hash#\d+ ASC NULLS FIRST, k0#", by_key)
    assert re.match(r"Sort \[\(shiftleft\(.* ASC NULLS FIRST\], false", by_number)
    assert by_number.count(" ASC ") == 1


def test_spine_may_be_a_query_over_sparks_tables(spark: Any, store: FeatureStore) -> None:
    spark.createDataFrame(SPINE).createOrReplaceTempView("shown")
    job = features_of(store, "SELECT * FROM shown WHERE user_id <> 'w'")
    assert values(job.to_spark_df()) == FOUND[:2]


def test_file_and_arrow_spines_keep_their_order_and_duplicates(store: FeatureStore, tmp_path: Path) -> None:
    twice = pa.concat_tables([SPINE.slice(1), SPINE])
    pq.write_table(twice, tmp_path / "spine.parquet")
    for spine in (twice, tmp_path / "spine.parquet"):
        result = features_of(store, spine).to_arrow()
        assert result.drop_columns(["value"]).equals(twice)
        assert result["value"].to_pylist() == FOUND[1:] + FOUND


def test_instants_are_cut_and_read_as_utc_when_a_frame_has_nanoseconds_and_zones(store: FeatureStore) -> None:
    midnight = pd.Timestamp(START)
    frame = pd.DataFrame({"user_id": "v", "item_id": "i", "shown_at": [midnight, midnight - pd.Timedelta(1)]})
    local = frame.assign(shown_at=frame["shown_at"].dt.tz_convert("Asia/Shanghai"))
    naive = frame.assign(shown_at=frame["shown_at"].dt.tz_localize(None))
    for spine in (frame, local, naive):
        result = features_of(store, spine).to_arrow()
        assert result["value"].to_pylist() == [4.0, None]
        assert (
            result["shown_at"]
            .cast(pa.int64())
            .equals(pa.Table.from_pandas(spine)["shown_at"].cast(pa.int64()))
        )


def test_naive_instants_of_a_spark_frame_are_utc_whatever_the_sessions_zone(
    spark: Any, store: FeatureStore
) -> None:
    naive = spark.sql(
        "SELECT 'v' user_id, 'i' item_id, EXPLODE(ARRAY(TIMESTAMP_NTZ'2026-01-01', "
        "TIMESTAMP_NTZ'2025-12-31 23:59:59.999999')) event_timestamp"
    )
    with changed(spark, {"spark.sql.session.timeZone": "Asia/Shanghai"}):
        assert values(features_of(store, naive).to_spark_df()) == [None, 4.0]


def test_parquet_file_holds_what_arrow_does(spark: Any, store: FeatureStore, tmp_path: Path) -> None:
    job = features_of(store, SPINE)
    out = tmp_path / "out" / "set.parquet"
    assert job.to_parquet(out) == 3
    assert pq.read_table(out).equals(job.to_arrow())
    assert features_of(store, spark.createDataFrame(SPINE)).to_parquet(out) == 3
    assert [path.name for path in out.parent.iterdir()] == ["set.parquet"]


def test_saved_data_set_is_written_by_spark_or_as_one_file(store: FeatureStore, tmp_path: Path) -> None:
    job = features_of(store, SPINE)
    parts, file = str(tmp_path / "parts"), str(tmp_path / "set.parquet")
    job.persist(SavedDatasetSparkStorage(path=parts, file_format="parquet"))
    job.persist(SavedDatasetFileStorage(path=file))
    assert pq.read_table(parts)["value"].to_pylist() == FOUND
    assert pq.read_table(file)["value"].to_pylist() == FOUND


@pytest.mark.parametrize(("latest", "found"), [(True, [3.0, 4.0]), (False, [1.0, 2.0, 3.0, 4.0])])
def test_rows_are_pulled_as_by_duckdb(
    store: FeatureStore, tmp_path: Path, latest: bool, found: list[float]
) -> None:
    ask = (
        GatehouseOfflineStore.pull_latest_from_table_or_query
        if latest
        else GatehouseOfflineStore.pull_all_from_table_or_query
    )
    source = store.get_feature_view("view").batch_source
    keys, times = ["user_id", "item_id"], ("event_timestamp", "created_timestamp")
    spark_rows = ask(store.config, source, keys, ["value"], *times, START, START + 9 * DAY).to_arrow()
    store.config.offline_store.engine = "duckdb"
    duck_rows = ask(store.config, source, keys, ["value"], *times, START, START + 9 * DAY).to_arrow()
    if latest:  # in any order
        spark_rows, duck_rows = spark_rows.sort_by("user_id"), duck_rows.sort_by("user_id")
    assert spark_rows["value"].to_pylist() == found
    assert spark_rows.cast(duck_rows.schema).equals(duck_rows)


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_feast_joins_exactly_on_both_engines(spark: Any, tmp_path: Path, engine: str) -> None:
    """Leaks, TTLs, late rows, composite keys, mixed zones and foreign columns, by ordinary Feast calls."""
    rows = [
        Row("1", "23", START, START, 1.0),
        Row("12", "3", START, START, 2.0),
        Row("1", "23", START + DAY, START + 2 * DAY, 3.0),
    ]
    store = service_store(tmp_path, rows, engine=engine)
    zone = "America/New_York"
    at = [START, START, START - MICROSECOND, START + DAY, START + 2 * DAY, START + 3 * DAY]
    at += [START + 3 * DAY + MICROSECOND, START]
    spine = pd.DataFrame(
        {
            "user_id": ["1", "12", "1", "1", "1", "1", "1", "1"],
            "item_id": ["23", "3", "23", "23", "23", "23", "23", None],
            "event_timestamp": [
                pd.Timestamp(one).tz_convert(zone if n % 2 else "UTC") for n, one in enumerate(at)
            ],
            "label": range(8),
        }
    )
    result = features_of(store, spine).to_df()
    assert result["label"].tolist() == list(range(8))
    assert pd.to_datetime(result["event_timestamp"], utc=True).tolist() == [pd.Timestamp(one) for one in at]
    found = [None if pd.isna(value) else value for value in result["value"]]
    assert found == [1.0, 2.0, None, 1.0, 3.0, 3.0, None, None]
