"""Why the offline store is our own: what Feast's do with cases that a log of impressions is full of.

Each test pins the wrong answer seen with the Feast version in requirements.lock, beside ours over the
same rows. When one of them fails after an upgrade, Feast has changed there: see decision 4 again.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, FeatureView, FileSource, RepoConfig

from tests.features.stores.stores import FIELDS, TTL, entities, service_store
from tests.features.stores.tables import SCHEMA, START, At, Row, spine_of

DAY = timedelta(days=1)
Answer = list[tuple[str, str, float | None]]

CROSSING = [Row("1", "23", START, START, 1.0), Row("12", "3", START, START, 2.0)]
CROSSING_SPINE = [At("1", "23", START), At("12", "3", START)]
TIED = [Row("u", "i", START, START, 1.0), Row("u", "i", START, START, 2.0)]
LATE = [Row("u", "i", START, START, 1.0), Row("u", "i", START + DAY, START + 2 * DAY, 2.0)]
EXPIRED = [Row("u", "i", START, START, 1.0), Row("v", "i", START + 9 * DAY, START + 9 * DAY, 2.0)]
EXPIRED_SPINE = [At("u", "i", START + 8 * DAY), At("v", "i", START + 8 * DAY), At("v", "i", START + 9 * DAY)]
TWICE = [At("u", "i", START), At("u", "i", START)]


def answer(result: pd.DataFrame) -> Answer:
    """User, item and value of each row, in one order."""
    values = [None if pd.isna(value) else value for value in result["value"]]
    found = zip(result["user_id"], result["item_id"], values, strict=True)
    return sorted(found, key=lambda row: (row[0], row[1], row[2] or 0.0))


def ours(folder: Path, rows: list[Row], spine: list[At]) -> Answer:
    store = service_store(folder / "ours", rows)
    return answer(store.get_historical_features(spine_of(spine).to_pandas(), ["view:value"]).to_df())


def feasts(kind: str, folder: Path, rows: list[Row], spine: list[At], **options: Any) -> Answer:
    """What Feast's own store of a kind gives, over one Parquet file of the same rows."""
    path = folder / "rows.parquet"
    columns = {
        "user_id": [row.user for row in rows],
        "item_id": [row.item for row in rows],
        "event_timestamp": [row.event for row in rows],
        "created_timestamp": [row.created for row in rows],
        "value": [row.value for row in rows],
    }
    pq.write_table(pa.table(columns, schema=SCHEMA), path)
    config = RepoConfig(
        project="p",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        offline_store={"type": kind},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    keys = entities()
    view = FeatureView(name="view", entities=keys, schema=FIELDS, ttl=TTL, source=source(kind, path))
    store.apply([*keys, view])
    job = store.get_historical_features(spine_of(spine).to_pandas(), ["view:value"], **options)
    return answer(job.to_df())


def source(kind: str, path: Path) -> Any:
    times = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created_timestamp"}
    if kind != "spark":
        return FileSource(name="rows", path=str(path), **times)
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

    return SparkSource(name="rows", path=str(path), file_format="parquet", **times)


def test_file_store_drops_spine_rows_whose_candidates_are_expired_or_in_the_future(tmp_path: Path) -> None:
    assert ours(tmp_path, EXPIRED, EXPIRED_SPINE) == [("u", "i", None), ("v", "i", None), ("v", "i", 2.0)]
    assert feasts("file", tmp_path, EXPIRED, EXPIRED_SPINE) == [("v", "i", 2.0)]


def test_file_store_merges_spine_rows_that_are_equal(tmp_path: Path) -> None:
    assert ours(tmp_path, TIED[1:], TWICE) == [("u", "i", 2.0), ("u", "i", 2.0)]
    assert feasts("file", tmp_path, TIED[1:], TWICE) == [("u", "i", 2.0)]


@pytest.mark.spark
def test_spark_store_crosses_values_of_keys_whose_concatenations_are_equal(
    spark: Any, tmp_path: Path
) -> None:
    assert ours(tmp_path, CROSSING, CROSSING_SPINE) == [("1", "23", 1.0), ("12", "3", 2.0)]
    assert feasts("spark", tmp_path, CROSSING, CROSSING_SPINE) == [
        ("1", "23", 1.0),
        ("1", "23", 2.0),
        ("12", "3", 1.0),
        ("12", "3", 2.0),
    ]


@pytest.mark.spark
def test_spark_store_multiplies_rows_when_feature_rows_tie(spark: Any, tmp_path: Path) -> None:
    assert ours(tmp_path, TIED, TWICE[:1]) == [("u", "i", 2.0)]
    assert feasts("spark", tmp_path, TIED, TWICE[:1]) == [("u", "i", 1.0), ("u", "i", 2.0)]


@pytest.mark.parametrize("kind", ["file", "duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def test_feasts_stores_use_late_rows_unless_they_are_told_not_to(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """A row created at the end of the second day is seen in its middle: a leak, and the default."""
    if kind == "spark":
        request.getfixturevalue("spark")
    noon = [At("u", "i", START + 3 * DAY / 2)]
    assert ours(tmp_path, LATE, noon) == [("u", "i", 1.0)]
    assert feasts(kind, tmp_path, LATE, noon) == [("u", "i", 2.0)]


@pytest.mark.parametrize(
    ("rows", "spine"),
    [
        (CROSSING, CROSSING_SPINE),
        (EXPIRED, EXPIRED_SPINE),
        (TIED[1:], TWICE),
        (LATE, [At("u", "i", START + DAY)]),
    ],
)
def test_duckdb_store_agrees_with_ours_when_told_to_leave_late_rows_out(
    tmp_path: Path, rows: list[Row], spine: list[At]
) -> None:
    found = feasts("duckdb", tmp_path, rows, spine, filter_by_created_timestamp=True)
    assert found == ours(tmp_path, rows, spine)
