"""The point-in-time join on Spark: the same answer as features.stores.point_in_time, at any size.

Spine rows and feature rows of a key are laid on one line of time, a feature row at the instant it
became known, max(event, created). Walking along, the newest row so far, by (event, created, place),
is what a spine row sees: a running maximum, so rows of an equal instant and rows that were known late
need no care of their own. One view after the other adds its columns, and each spine row is read once:
no row number is joined back, which Spark could give out anew when it computes a lost part again.

A line of time is one task's work, and there are as many tasks as keep the rows of each few. A key with
a large share of the rows has its line cut; see features.stores.spark_slices. Spine rows that can match
nothing are dealt out to all tasks.

Only built-in expressions run on rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from features.stores.spark_rows import named, rows_of
from features.stores.spark_slices import carried, hot_keys, sliced
from features.stores.spark_spine import INSTANT, SparkSpine
from features.stores.views import ViewColumns, check_spine

ROWS_A_TASK = 250_000  # that a task sorts at most, where keys allow: as many as its caches are quick with
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
        known = _known(rows.frame, names, view)
        asked = _asked(spine.frame, rows.frame, view)
        if count <= FEW:
            known = _within_reach(known, asked, names, view)
        hot = hot_keys(spark, asked.select(*names, "at"), known.select(*names, "at"), names)
        tasks = (count + rows.most) // ROWS_A_TASK
        joined = _walk(_asked(joined, rows.frame, view), known, hot, tasks, names, view)
    return joined.drop(INSTANT)


def _asked(spine: DataFrame, rows: DataFrame, view: ViewColumns) -> DataFrame:
    """Spine rows whole, in `asked`, beside their keys and their instant in `at`."""
    keys = (
        named(column).cast(rows.schema[f"k{index}"].dataType).alias(f"k{index}")
        for index, column in enumerate(view.keys.values())
    )
    return spine.select(*keys, F.col(INSTANT).alias("at"), F.struct("*").alias("asked"))


def _known(rows: DataFrame, names: Sequence[str], view: ViewColumns) -> DataFrame:
    """Feature rows whole, in `known`, beside their keys and the instant they became known in `at`."""
    features = (f"f{index}" for index in range(len(view.columns)))
    return rows.where(~_any_null(names)).select(
        *names,
        F.greatest("event", "created").alias("at"),
        F.struct("event", "created", "place", *features).alias("known"),
    )


def _within_reach(known: DataFrame, asked: DataFrame, names: Sequence[str], view: ViewColumns) -> DataFrame:
    """The rows of `known` whose key is asked for, at some instant that they can be used at."""
    reach = asked.groupBy(*names).agg(F.min("at").alias("first"), F.max("at").alias("last"))
    usable = F.col("at") <= F.col("last")
    if view.ttl:
        usable &= F.col("known.event") >= F.col("first") - view.ttl_microseconds
    return known.join(F.broadcast(reach), list(names)).where(usable).drop("first", "last")


def _walk(
    asked: DataFrame,
    known: DataFrame,
    hot: DataFrame | None,
    tasks: int,
    names: Sequence[str],
    view: ViewColumns,
) -> DataFrame:
    """The rows of `asked`, each with what the view knew at its instant."""
    hopeless = _any_null([*names, "at"])
    spread = F.pmod(F.xxhash64("asked"), F.lit(1 << 16)).cast("int")
    asked = sliced(asked, hot, names).withColumn("slice", F.when(hopeless, spread).otherwise(F.col("slice")))
    known = sliced(known, hot, names)
    line = _in_turn(asked, 1).unionByName(_in_turn(known, 0), allowMissingColumns=True)
    if hot is not None:
        line = line.unionByName(_in_turn(carried(known, hot, names), 0), allowMissingColumns=True)
    if tasks > int(line.sparkSession.conf.get("spark.sql.shuffle.partitions")):
        line = line.repartition(tasks, *names, "slice")
    so_far = (
        Window.partitionBy(*names, "slice")
        .orderBy("turn")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    seen = line.withColumn("seen", F.max("known").over(so_far)).where(F.col("asked").isNotNull())
    age = F.col("asked")[INSTANT] - F.col("seen.event")
    fresh = age <= view.ttl_microseconds if view.ttl else F.lit(True)
    outputs = (
        F.when(fresh, F.col(f"seen.f{index}")).alias(column.output)
        for index, column in enumerate(view.columns)
    )
    return seen.select("asked.*", *outputs)


def _in_turn(rows: DataFrame, turn: int) -> DataFrame:
    """`rows` with their order on the line in `turn`, in place of `at`: of an instant, the lower `turn` first.

    A row is as it will be sorted before it is moved, so that nobody has to copy it on the way.
    """
    return rows.withColumn("turn", F.col("at") * 2 + turn).drop("at")


def _any_null(names: Sequence[str]) -> Column:
    missing = F.lit(False)
    for name in names:
        missing |= F.col(name).isNull()
    return missing
