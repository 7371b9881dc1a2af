"""The point-in-time join on Spark: the same answer as features.stores.point_in_time, at any size.

Spine rows and feature rows of a key are laid on one line of time, a feature row at the instant it
became known, max(event, created). Walking along, the newest row so far, by (event, created, place),
is what a spine row sees: a running maximum, so rows of an equal instant and rows that were known late
need no care of their own. One view after the other adds its columns, and each spine row is read once:
no row number is joined back, which Spark could give out anew when it computes a lost part again.

A line of time is one task's work, and there are as many tasks as keep the rows of each few. A key with
a large share of the rows has its line cut; see features.stores.spark_slices. Spine rows that can match
nothing are dealt out to all tasks: they stand at the start of somebody's line, where nothing is known yet.

Only built-in expressions run on rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType, IntegralType, StringType

from features.stores.spark_rows import named, rows_of
from features.stores.spark_slices import carried, hot_keys, sliced
from features.stores.spark_spine import INSTANT, SparkSpine
from features.stores.views import ViewColumns, check_spine

ROWS_A_TASK = 250_000  # that a task sorts at most, where keys allow: as many as its caches are quick with
FEW_FLOATS = 6  # an array of more of them takes less than as many fields of a row, of eight bytes each
FEW = 100_000  # spine rows whose keys are sent to all executors, to leave out rows before they are moved
_SPREAD = (StringType, IntegralType)  # keys that can be any number


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
        tasks = (count + rows.most) // ROWS_A_TASK
        joined = _walk(_asked(joined, rows.frame, view), known, hot, tasks, names, read, view)
    return joined.drop(INSTANT)


def _asked(spine: DataFrame, rows: DataFrame, view: ViewColumns) -> DataFrame:
    """Spine rows whole, in `asked`, beside their keys and their instant in `at`.

    A row that can match nothing has no instant, and any key of text or of whole numbers.
    """
    types = [rows.schema[f"k{index}"].dataType for index in range(len(view.keys))]
    own = [named(column).cast(kind) for column, kind in zip(view.keys.values(), types, strict=True)]
    hopeless = _any_null([*own, F.col(INSTANT)])
    anywhere = F.pmod(F.xxhash64(INSTANT, *own), F.lit(1 << 15))
    keys = (
        F.when(hopeless, anywhere.try_cast(kind)).otherwise(key) if isinstance(kind, _SPREAD) else key
        for key, kind in zip(own, types, strict=True)
    )
    return spine.select(
        *(key.alias(f"k{index}") for index, key in enumerate(keys)),
        F.when(~hopeless, F.col(INSTANT)).alias("at"),
        F.struct("*").alias("asked"),
    )


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
    return rows.where(~_any_null(map(F.col, names))).select(
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


def _walk(
    asked: DataFrame,
    known: DataFrame,
    hot: DataFrame | None,
    tasks: int,
    names: Sequence[str],
    read: Sequence[Column],
    view: ViewColumns,
) -> DataFrame:
    """The rows of `asked`, each with what the view knew at its instant."""
    line = [*names] if hot is None else [*names, "slice"]
    if hot is not None:
        asked, known = sliced(asked, hot, names), sliced(known, hot, names)
    rows = _in_turn(asked, 1).unionByName(_in_turn(known, 0), allowMissingColumns=True)
    if hot is not None:
        rows = rows.unionByName(_in_turn(carried(known, hot, names), 0), allowMissingColumns=True)
    if tasks > int(rows.sparkSession.conf.get("spark.sql.shuffle.partitions")):
        rows = rows.repartition(tasks, *line)
    so_far = (
        Window.partitionBy(*line).orderBy("turn").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    seen = rows.withColumn("seen", F.max("known").over(so_far)).where(F.col("asked").isNotNull())
    age = F.col("asked")[INSTANT] - F.col("seen.event")
    fresh = age <= view.ttl_microseconds if view.ttl else F.lit(True)
    features = (
        F.when(fresh, feature).alias(column.output)
        for feature, column in zip(read, view.columns, strict=True)
    )
    return seen.select("asked.*", *features)


def _in_turn(rows: DataFrame, turn: int) -> DataFrame:
    """`rows` with their order on the line in `turn`, in place of `at`: of an instant, the lower `turn` first.

    A row is as it will be sorted before it is moved, so that nobody has to copy it on the way.
    """
    return rows.withColumn("turn", F.col("at") * 2 + turn).drop("at")


def _any_null(columns: Iterable[Column]) -> Column:
    return reduce(or_, (column.isNull() for column in columns))
