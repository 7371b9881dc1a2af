"""Windows straight from the raw events of all their days: what a day costs when no tiles are kept."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf

from benchmarks.scale_log import CATALOG
from features.compile.spark import event_schema, row_order
from features.compile.spark.daily import (
    day_of_snapshot,
    feature_columns,
    key_columns,
    keyed_events,
    snapshot_times,
)
from features.compile.spark.partials import SKETCH_SIZE, hashes_name, windowed, windowed_partials
from features.declarations.groups import FeatureGroup, SequenceGroup
from features.declarations.measures import Distinct
from pipelines.days import DAY, Days
from pipelines.lake import Lake
from pipelines.spark_tables import read_days, write_days


def windows_from_raw(spark: SparkSession, events_of: Lake, target: Lake, ds: date) -> None:
    """Write every group's snapshot of `ds` from the events that its windows reach."""
    reach = max(group.reach for group in CATALOG.aggregates)
    days = Days(start=ds - DAY * reach, end=ds)
    events = read_days(spark, events_of, "events", days, event_schema(CATALOG))
    for group in CATALOG.aggregates:
        known = keyed_events(group, events).withColumns(
            {"age": sf.datediff(sf.lit(ds), "ds"), "snapshot": sf.lit(ds)}
        )
        in_time = known.where((sf.col("known") <= sf.lit(ds)) & (sf.col("age") <= group.reach))
        rows = _sequences(group, in_time) if isinstance(group, SequenceGroup) else _features(group, in_time)
        write_days(
            target, f"features/{group.name}", rows, Days.one(ds),
            order=row_order(group), inputs={}, rows_at_most={ds: 1},
        )  # fmt: skip


def _features(group: FeatureGroup, events: DataFrame) -> DataFrame:
    """Every measure over every window, by one pass over the events of the longest."""
    keys = ["snapshot", *key_columns(group)]
    folded = [
        part.folded(_within(window, part.row)).alias(windowed(part.name, window))
        for part, window in windowed_partials(group)
        if part.row is not None
    ]
    rows = events.groupBy(*keys).agg(*folded)
    for measure in group.measures:
        if isinstance(measure, Distinct):
            for window in group.windows:
                ids = events.where(_within(window, sf.lit(1)).isNotNull()).dropna(subset=[measure.of.column])
                hashed = ids.select(*keys, sf.xxhash64(measure.of.column).alias("hash")).distinct()
                smallest = sf.sort_array(sf.min_by("hash", "hash", SKETCH_SIZE))
                sketch = smallest.alias(windowed(hashes_name(measure.of), window))
                rows = rows.join(hashed.groupBy(*keys).agg(sketch), keys, "left")
                # A key that has just left the window behind has an empty sketch.
                name = windowed(hashes_name(measure.of), window)
                rows = rows.withColumn(name, sf.coalesce(sf.col(name), sf.array().cast("array<bigint>")))
    return rows.select(*key_columns(group), *snapshot_times(), *feature_columns(group), day_of_snapshot())


def _sequences(group: SequenceGroup, events: DataFrame) -> DataFrame:
    element = sf.struct(
        sf.unix_micros("event_timestamp").alias("event_time"),
        "event_id",
        *(sf.coalesce(sf.col(entity.column), sf.lit("")).alias(entity.column) for entity in group.elements),
    )
    counted = _within(group.window, element)
    newest = sf.sort_array(sf.max_by(counted, counted, group.length), asc=False)
    latest = (
        events.where(sf.col(f"label_{group.task}") == 1)
        .groupBy("snapshot", *key_columns(group))
        .agg(sf.coalesce(newest, sf.array().cast(_array_of(group))).alias("latest"))
    )
    fields = [f"latest.{field}" for field in (*(entity.column for entity in group.elements), "event_time")]
    features = (
        sf.col(field).alias(feature.name) for feature, field in zip(group.features, fields, strict=True)
    )
    return latest.select(*key_columns(group), *snapshot_times(), *features, day_of_snapshot())


def _array_of(group: SequenceGroup) -> str:
    ids = ", ".join(f"{entity.column}: string" for entity in group.elements)
    return f"array<struct<event_time: bigint, event_id: string, {ids}>>"


def _within(window: timedelta, value: Column) -> Column:
    return sf.when(sf.col("age") < window // DAY, value)
