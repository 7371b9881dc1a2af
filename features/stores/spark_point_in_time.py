"""The point-in-time join on Spark: the same answer as features.stores.point_in_time, at any size.

One view after the other adds its columns, as features.stores.spark_line tells, and each spine row is
read once: no row number is joined back, which Spark could give out anew when it computes a lost part
again. Only built-in expressions run on rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType

from features.stores.spark_line import any_null, walk
from features.stores.spark_rows import named, rows_of
from features.stores.spark_slices import hot_keys
from features.stores.spark_spine import INSTANT, SparkSpine
from features.stores.views import ViewColumns, check_spine

FEW_FLOATS = 6  # an array of more of them takes less than as many fields of a row, of eight bytes each
FEW = 100_000  # spine rows whose keys are sent to all executors, to leave out rows before they are moved


def join_views(spark: SparkSession, spine: SparkSpine, views: Sequence[ViewColumns]) -> DataFrame:
    """The spine's frame, less INSTANT, with the views' features.

    Raises:
        SpineError: the spine lacks a key column, or a feature would take the place of one of its columns.
    """
    check_spine(spine.columns, views)
    (first, last, count), *_ = spine.frame.agg(F.min(INSTANT), F.max(INSTANT), F.count("*")).collect()
    joined = spine.frame
    for view in views:
        earliest = first - view.ttl_microseconds if view.ttl and first is not None else None
        rows = rows_of(spark, view, earliest, last)
        names = [f"k{index}" for index in range(len(view.keys))]
        taken, read = _features(rows.frame, view)
        known = _known(rows.frame, names, taken)
        asked = _asked(spine.frame, rows.frame, view)
        if count <= FEW:
            known = _within_reach(known, asked, names, view)
        hot = hot_keys(spark, asked.select(*names, "at"), known.select(*names, "at"), names)
        seen = walk(_asked(joined, rows.frame, view), known, names, hot, count + rows.most)
        joined = _with_features(seen, read, view)
    return joined.drop(INSTANT)


def _asked(spine: DataFrame, rows: DataFrame, view: ViewColumns) -> DataFrame:
    """Spine rows whole, in `asked`, beside their keys and their instant in `at`."""
    keys = (
        named(column).cast(rows.schema[f"k{index}"].dataType).alias(f"k{index}")
        for index, column in enumerate(view.keys.values())
    )
    return spine.select(*keys, F.col(INSTANT).alias("at"), F.struct("*").alias("asked"))


def _features(rows: DataFrame, view: ViewColumns) -> tuple[list[Column], list[Column]]:
    """What a feature row takes along of its features, and each feature as it is read in `seen`.

    Floats travel in one array, where that is smaller than as many fields of a row.
    """
    names = [f"f{index}" for index in range(len(view.columns))]
    floats = [name for name in names if rows.schema[name].dataType == FloatType()]
    if len(floats) <= FEW_FLOATS:
        return [F.col(name) for name in names], [F.col(f"seen.{name}") for name in names]
    taken = [F.array(*floats).alias("floats"), *(F.col(name) for name in names if name not in floats)]
    read = (
        F.col("seen.floats")[floats.index(name)] if name in floats else F.col(f"seen.{name}")
        for name in names
    )
    return taken, list(read)


def _known(rows: DataFrame, names: Sequence[str], taken: Sequence[Column]) -> DataFrame:
    """Feature rows whole, in `known`, beside their keys and the instant they became known in `at`."""
    return rows.where(~any_null(names)).select(
        *names,
        F.greatest("event", "created").alias("at"),
        F.struct("event", "created", "place", *taken).alias("known"),
    )


def _within_reach(known: DataFrame, asked: DataFrame, names: Sequence[str], view: ViewColumns) -> DataFrame:
    """The rows of `known` whose key is asked for, at some instant that they can be used at."""
    reach = asked.groupBy(*names).agg(F.min("at").alias("first"), F.max("at").alias("last"))
    usable = F.col("at") <= F.col("last")
    if view.ttl:
        usable &= F.col("known.event") >= F.col("first") - view.ttl_microseconds
    return known.join(F.broadcast(reach), list(names)).where(usable).drop("first", "last")


def _with_features(seen: DataFrame, read: Sequence[Column], view: ViewColumns) -> DataFrame:
    """The spine rows, each with the features of the row that it sees, unless that is too old."""
    age = F.col("asked")[INSTANT] - F.col("seen.event")
    fresh = age <= view.ttl_microseconds if view.ttl else F.lit(True)
    features = (
        F.when(fresh, feature).alias(column.output)
        for feature, column in zip(read, view.columns, strict=True)
    )
    return seen.select("asked.*", *features)
