"""Windows straight from the raw events of all their days: what a day costs when no tiles are kept."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf

from benchmarks.scale_log import CATALOG
from features.compile.spark import event_schema, row_order
from features.compile.spark.daily import day_of_snapshot, known_events, snapshot_times
from features.compile.spark.groups import feature_columns, key_columns, windowed_partials
from features.compile.spark.partials import windowed
from features.compile.spark.sketches import sketched
from features.declarations.groups import Aggregate
from pipelines.days import DAY, Days
from pipelines.lake import Lake
from pipelines.spark.tables import read_days, write_days


def windows_from_raw(spark: SparkSession, events_of: Lake, target: Lake, ds: date) -> None:
    """Write every group's snapshot of `ds` from the events that its windows reach."""
    reach = max(group.reach for group in CATALOG.aggregates)
    days = Days(start=ds - DAY * reach, end=ds)
    events = read_days(spark, events_of, "events", days, event_schema(CATALOG))
    for group in CATALOG.aggregates:
        known = known_events(group, events).withColumns(
            {"age": sf.datediff(sf.lit(ds), "ds"), "snapshot": sf.lit(ds)}
        )
        in_time = known.where((sf.col("known") <= sf.lit(ds)) & (sf.col("age") <= group.reach))
        rows = _features(group, in_time)
        write_days(
            target, f"features/{group.name}", rows, Days.one(ds),
            order=row_order(group), inputs={}, rows_at_most={ds: 1},
        )  # fmt: skip


def _features(group: Aggregate, events: DataFrame) -> DataFrame:
    """Every measure over every window, by one pass over the events of the longest."""
    keys = ["snapshot", *key_columns(group)]
    folded = [
        part.tiled(_within(window, part.row)).alias(windowed(part.name, window))
        for part, window in windowed_partials(group)
        if not part.once
    ]
    rows = events.groupBy(*keys).agg(*folded)
    for part, window in windowed_partials(group):
        if part.once:
            column = windowed(part.name, window)
            ids = events.select(*keys, _within(window, part.row).alias("id"))
            rows = rows.join(sketched(ids, keys, column), keys, "left")
            # A key that has just left the window behind has an empty sketch.
            rows = rows.withColumn(column, sf.coalesce(sf.col(column), sf.array().cast(part.dtype)))
    return rows.select(*key_columns(group), *snapshot_times(), *feature_columns(group), day_of_snapshot())


def _within(window: timedelta, value: Column) -> Column:
    return sf.when(sf.col("age") < window // DAY, value)
