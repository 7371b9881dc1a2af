"""The contenders of the materialization benchmark, each run as a process of its own.

    python -m benchmarks.materialize_contenders NAME FOLDER ROWS HOST:PORT

Each writes ROWS users with 50 float features into an empty Valkey through `FeatureStore.materialize`. The
last line printed is JSON: seconds, resident megabytes before and at the peak (with the JVM of Spark).
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32, String

from benchmarks.memory import peak_mb, resident_mb
from features.stores.source import LakeSource
from pipelines.lake import Lake
from pipelines.settings import Settings

DS = date(2026, 1, 1)
EVENT = datetime(2026, 1, 2, tzinfo=UTC)
FEATURES = [f"feature_{number:02}" for number in range(50)]
TABLE = "features/of_user"
PACKED = {
    "batch_engine": {"type": "features.stores.engine.ArrowComputeEngine"},
    "offline_store": {"type": "features.stores.offline.GatehouseOfflineStore"},
    "materialization": {"pull_latest_features": True},
}


def main(name: str, folder: Path, rows: int, address: str) -> None:
    pids = []
    if name == "gatehouse, spark":
        pids = [_spark(folder)]
    store = _store(name, folder, rows, address)
    store.get_online_features(["of_user:feature_00"], [{"user_id": "0"}])  # connects, imports
    before = resident_mb(pids)
    begun = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        store.materialize(EVENT - timedelta(days=1), EVENT + timedelta(days=1))
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "before_mb": before, "peak_mb": peak_mb(pids)}))  # noqa: T201


def write_rows(folder: Path, rows: int) -> None:
    """A lake partition and a plain Parquet file with the same `rows` users."""
    random = np.random.default_rng(7)
    times = pa.array([EVENT] * rows, pa.timestamp("us", "UTC"))
    columns = {"user_id": pa.array(np.arange(rows)).cast(pa.string())}
    columns |= {"event_timestamp": times, "created_timestamp": times}
    columns |= {name: pa.array(random.random(rows, np.float32)) for name in FEATURES}
    plain = folder / f"rows_{rows}.parquet"
    pq.write_table(pa.table(columns), plain, row_group_size=100_000)
    lake = Lake(folder / f"lake_{rows}")
    with lake.staging() as staged:
        part = staged / "part.parquet"
        part.write_bytes(plain.read_bytes())
        lake.publish(TABLE, DS, [part], {})


def _store(name: str, folder: Path, rows: int, address: str) -> FeatureStore:
    times = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created_timestamp"}
    if name.startswith("gatehouse"):
        settings: dict[str, Any] = PACKED | {
            "online_store": {
                "type": "features.stores.online.PackedOnlineStore",
                "url": f"redis://{address}/0",
            }
        }
        if name == "gatehouse, spark":
            settings["offline_store"] = PACKED["offline_store"] | {"engine": "spark"}
        source: Any = LakeSource(folder=folder / f"lake_{rows}" / TABLE, name="of_user")
    else:
        settings = {
            "online_store": {"type": "redis", "connection_string": address},
            "offline_store": {"type": "duckdb"},
        }
        source = FileSource(name="of_user", path=str(folder / f"rows_{rows}.parquet"), **times)
    registry = folder / f"{name}_{rows}.db".replace(", ", "_")
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(registry),
        entity_key_serialization_version=3,
        repo_path=folder,
        **settings,
    )
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="of_user",
        entities=[user],
        ttl=timedelta(days=7),
        schema=[
            Field(name="user_id", dtype=String),
            *(Field(name=feature, dtype=Float32) for feature in FEATURES),
        ],
        source=source,
    )
    store = FeatureStore(config=config)
    store.apply([user, view])
    return store


def _spark(folder: Path) -> int:
    """Start the session that the engine finds; the JVM's process id."""
    from pyspark import SparkContext

    from pipelines.spark.session import spark_session

    spark = spark_session(Settings(home=folder, spark_driver_memory="1g"))
    spark.range(1).mapInArrow(lambda batches: batches, "id long").count()
    return int(SparkContext._gateway.proc.pid)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
