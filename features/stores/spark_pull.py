"""What features.stores.pull gives, on Spark."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.stores.pull import bounds
from features.stores.spark_rows import rows_of
from features.stores.views import ViewColumns


def spark_pull(
    spark: SparkSession, view: ViewColumns, start: datetime | None, end: datetime | None, *, newest: bool
) -> DataFrame:
    """Rows within start..end, both included, by key and time; with `newest` each key's last, in any order."""
    names = [f"k{index}" for index in range(len(view.keys))]
    rows = rows_of(spark, view, *bounds(start, end)).frame
    if newest:
        # Only times and places are shuffled, not the features.
        last = F.max(F.struct("event", "created", "place")).alias("last")
        best = rows.groupBy(*names).agg(last).select(F.col("last.place").alias("place"))
        rows = rows.join(best, "place", "left_semi")
    else:
        rows = rows.orderBy(*(F.col(name).asc_nulls_last() for name in names), "event", "created", "place")
    return rows.select(
        *(F.col(name).alias(key) for name, key in zip(names, view.keys, strict=True)),
        *(F.col(f"f{number}").alias(column.output) for number, column in enumerate(view.columns)),
        F.timestamp_micros("event").alias(view.event_timestamp),
        F.timestamp_micros("created").alias(view.created_timestamp),
    )
