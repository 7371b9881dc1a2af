"""Keys that hold a large share of the rows, and the slices of time their rows are dealt out in.

What lies in a slice says nothing about the rows before it. So the newest row of every earlier slice is
carried into each: a few rows for each hot key, found by an aggregation that Spark does where the rows lie.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

SLICES = 16  # of a hot key
FEW_TASKS = 4  # so few tasks gain nothing from slices
SAMPLE = 200_000  # rows that shares are judged by


def hot_keys(
    spark: SparkSession, asked: DataFrame, known: DataFrame, names: Sequence[str]
) -> DataFrame | None:
    """Keys with more than half a task's share of all rows, and in `cuts` where their time is cut.

    Shares are judged by a sample: what is found decides how the work is dealt out, never the answer.
    """
    tasks = int(spark.conf.get("spark.sql.shuffle.partitions"))
    if tasks <= FEW_TASKS:
        return None
    rows = asked.unionByName(known).dropna()
    total = rows.count()
    sample = rows.sample(min(1.0, SAMPLE / max(total, 1)), seed=7)
    threshold = max(2, min(total, SAMPLE) / tasks / 2)
    quantiles = F.array(*(F.lit(cut / SLICES) for cut in range(1, SLICES)))
    found = (
        sample.groupBy(*names)
        .agg(F.count("*").alias("rows"), F.percentile_approx("at", quantiles).alias("cuts"))
        .where(F.col("rows") > threshold)
        .select(*names, F.array_distinct("cuts").alias("cuts"))
    )
    hot = found.collect()
    return F.broadcast(spark.createDataFrame(hot, found.schema)) if hot else None


def sliced(rows: DataFrame, hot: DataFrame, names: Sequence[str]) -> DataFrame:
    """`rows` with the `slice` of time each lies in; it is 0 for keys that are not hot."""
    passed = F.size(F.filter("cuts", lambda cut: cut <= F.col("at")))
    slice_of = F.when(F.col("cuts").isNull(), 0).otherwise(passed)
    return rows.join(hot, list(names), "left").withColumn("slice", slice_of).drop("cuts")


def carried(known: DataFrame, hot: DataFrame, names: Sequence[str]) -> DataFrame:
    """The newest row of each slice of a hot key, at the start of every later slice."""
    newest = known.join(hot, list(names)).groupBy(*names, "slice", "cuts").agg(F.max("known").alias("known"))
    later = newest.where(F.col("slice") < F.size("cuts")).withColumn(
        "slice", F.explode(F.sequence(F.col("slice") + 1, F.size("cuts")))
    )
    return later.withColumn("at", F.element_at("cuts", F.col("slice"))).drop("cuts")
