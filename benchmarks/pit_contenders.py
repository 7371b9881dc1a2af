"""The contenders of the point-in-time benchmark, each run as a process of its own.

    python -m benchmarks.pit_contenders NAME FOLDER

The last line printed is JSON: seconds of each run, peak resident megabytes (with the JVM of Spark), a digest
of the rows. All begin with the same files, the spine's too. On DuckDB they end with an Arrow table.

On Spark the join is run five times in one session, whose first run compiles most of its code. The rows go to
Spark's noop sink, which takes all and keeps none. A last run, timed apart, writes them to Parquet.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32, String

from benchmarks.memory import peak_mb
from benchmarks.pit_data import TTL, VIEWS, features_of
from features.stores.source import LakeSource

SPARK_MEMORY = "6g"
SPARK_RUNS = 5
REFS = [f"{view}:{feature}" for view in VIEWS for feature in features_of(view)]
TIMES = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created_timestamp"}


@dataclass(frozen=True, slots=True)
class Run:
    """What a contender did.

    Attributes:
        seconds: of each join.
        result: a table, or SQL for one.
        pids: processes beside this one that took memory.
        written_s: seconds of a join whose rows were written to Parquet.
    """

    seconds: list[float]
    result: pa.Table | str
    pids: tuple[int, ...] = ()
    written_s: float | None = None


def main(name: str, folder: Path) -> None:
    run = CONTENDERS[name](folder)
    figures = {"seconds": run.seconds, "written_s": run.written_s, "peak_mb": peak_mb(run.pids)}
    print(json.dumps(figures | {"digest": digest(run.result)}))  # noqa: T201


def raw_asof(folder: Path) -> Run:
    """What one would write by hand: an ASOF join for each view, over the same files."""
    joins = ""
    for view, keys in VIEWS.items():
        on = " AND ".join(f"spine.{key} = {view}.{key}" for key in keys)
        joins += (
            f" ASOF LEFT JOIN read_parquet('{folder}/features/{view}/*/*.parquet') {view} "
            f"ON {on} AND spine.event_timestamp >= {view}.event_timestamp"
        )
    outputs = ", ".join(
        f"CASE WHEN {view}.event_timestamp >= spine.event_timestamp - INTERVAL {TTL.days} DAY "
        f"THEN {view}.{feature} END AS {feature}"
        for view in VIEWS
        for feature in features_of(view)
    )
    query = f"SELECT spine.*, {outputs} FROM '{folder}/spine.parquet' spine {joins}"  # noqa: S608
    begun = time.perf_counter()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        table = connection.sql(query).to_arrow_table()
    return Run([time.perf_counter() - begun], table)


def duckdb_engine(folder: Path) -> Run:
    store = feast_store(folder, "ours", OURS, lake_source(folder))
    begun = time.perf_counter()
    table = store.get_historical_features(folder / "spine.parquet", REFS).to_arrow()
    return Run([time.perf_counter() - begun], table)


def feast_duckdb(folder: Path) -> Run:
    store = feast_store(folder, "feast_duckdb", {"type": "duckdb"}, file_source(folder))
    begun = time.perf_counter()
    spine = pq.read_table(folder / "spine.parquet").to_pandas()  # it takes no file
    job = store.get_historical_features(spine, REFS, filter_by_created_timestamp=True)
    table = job.to_arrow()
    return Run([time.perf_counter() - begun], table)


def spark_engine(folder: Path) -> Run:
    store = feast_store(folder, "ours_spark", OURS | {"engine": "spark"}, lake_source(folder))
    return on_spark(folder, store, "ours")


def feast_spark(folder: Path) -> Run:
    store = feast_store(folder, "feast_spark", {"type": "spark"}, spark_source(folder))
    return on_spark(folder, store, "feast")


def ten_million(folder: Path) -> Run:
    """Our DuckDB engine on the long spine, to a Parquet file."""
    store = feast_store(folder, "long", OURS, lake_source(folder))
    out = folder / "long_out.parquet"
    begun = time.perf_counter()
    store.get_historical_features(folder / "long.parquet", REFS).to_parquet(out)
    return Run([time.perf_counter() - begun], f"read_parquet('{out}')")


CONTENDERS: dict[str, Callable[[Path], Run]] = {
    "raw_asof": raw_asof,
    "duckdb": duckdb_engine,
    "feast_duckdb": feast_duckdb,
    "spark": spark_engine,
    "feast_spark": feast_spark,
    "spine_10m": ten_million,
}
OURS = {"type": "features.stores.offline.GatehouseOfflineStore"}


def on_spark(folder: Path, store: FeatureStore, name: str) -> Run:
    """Both Spark stores: one session and its settings, one spine by the same query."""
    from pyspark import SparkContext

    from pipelines.settings import Settings
    from pipelines.spark.session import spark_session

    spark_session(Settings(home=folder, spark_driver_memory=SPARK_MEMORY))
    out = folder / f"{name}_out.parquet"
    spine = f"SELECT * FROM parquet.`{folder}/spine.parquet`"  # noqa: S608
    seconds = []
    for sink in [*["noop"] * SPARK_RUNS, "parquet"]:
        begun = time.perf_counter()
        job = store.get_historical_features(spine, REFS, filter_by_created_timestamp=True)
        job.to_spark_df().write.mode("overwrite").format(sink).save(str(out))
        seconds.append(time.perf_counter() - begun)
    *joins, written = seconds
    return Run(joins, f"read_parquet('{out}/*.parquet')", (SparkContext._gateway.proc.pid,), written)


def feast_store(
    folder: Path, name: str, offline_store: dict[str, Any], source: Callable[[str], Any]
) -> FeatureStore:
    state = folder / name
    state.mkdir(exist_ok=True)
    config = RepoConfig(
        project="pit",
        provider="local",
        registry=str(state / "registry.db"),
        online_store={"type": "sqlite", "path": str(state / "online.db")},
        offline_store=offline_store,
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    keys = {key: Entity(name=key, join_keys=[key], value_type=ValueType.STRING) for key in _keys()}
    views = [
        FeatureView(
            name=view,
            entities=[keys[key] for key in own],
            ttl=TTL,
            schema=[
                *(Field(name=key, dtype=String) for key in own),
                *(Field(name=feature, dtype=Float32) for feature in features_of(view)),
            ],
            source=source(view),
        )
        for view, own in VIEWS.items()
    ]
    store.apply([*keys.values(), *views])
    return store


def lake_source(folder: Path) -> Callable[[str], LakeSource]:
    return lambda view: LakeSource(name=view, folder=folder / "features" / view)


def file_source(folder: Path) -> Callable[[str], FileSource]:
    return lambda view: FileSource(name=view, path=f"{folder}/features/{view}/*/*.parquet", **TIMES)


def spark_source(folder: Path) -> Callable[[str], Any]:
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

    return lambda view: SparkSource(
        name=view, path=f"{folder}/features/{view}", file_format="parquet", **TIMES
    )


def digest(result: pa.Table | str) -> str:
    """One number of all rows, whatever their order."""
    columns = ", ".join(["event_id", *(feature for view in VIEWS for feature in features_of(view))])
    relation = result if isinstance(result, str) else "result"
    with duckdb.connect() as connection:
        query = f"SELECT count(*), bit_xor(hash({columns})) FROM {relation}"  # noqa: S608
        return str(connection.execute(query).fetchone())


def _keys() -> list[str]:
    return sorted({key for own in VIEWS.values() for key in own})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
