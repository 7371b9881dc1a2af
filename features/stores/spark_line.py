"""Lines of time on Spark: spine rows and feature rows of a key in order, and what each spine row sees.

A feature row stands at the instant it became known. Walking along, the newest row so far, by (event,
created, place), is what a spine row sees: a running maximum, so rows of an equal instant and rows that
were known late need no care of their own.

A line is one task's work, and there are as many tasks as keep the rows of each few. A key with a large
share of the rows has its line cut; see features.stores.spark_slices. Spine rows that can match nothing
are dealt out to all tasks.

Rows are sorted twice, which is quicker: by a single number, made of a line's hash and a row's second,
which Spark sorts by its digits without a look at any row; then as the running maximum asks for, which
finds nearly all in order already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.stores.spark_slices import carried, sliced

ROWS_A_TASK = 250_000  # that a task sorts at most, where keys allow: as many as fit into its memory with ease
_SECOND = 21  # bits of a turn below a second, or nearly: an instant's turn is twice its microseconds


def walk(
    asked: DataFrame, known: DataFrame, names: Sequence[str], hot: DataFrame | None, most: int
) -> DataFrame:
    """Spine rows in `asked`, each with the feature row that it sees in `seen`, or null.

    Args:
        asked: spine rows: the keys in columns `names`, the instant in `at`, and the row whole in `asked`.
        known: the same of feature rows, less those without a key, in `known`.
        names: the columns of keys.
        hot: the keys that hold many rows, by features.stores.spark_slices; None if there are none.
        most: there are at most so many rows in all.
    """
    line = [*names] if hot is None else [*names, "slice"]
    if hot is not None:
        asked, known = sliced(asked, hot, names), sliced(known, hot, names)
    somewhere = F.when(any_null([*names, "at"]), _hash_of_row(asked)).otherwise(F.hash(*line))
    rows = _in_turn(asked, 1, somewhere)
    for some in [known] if hot is None else [known, carried(known, hot, names)]:
        rows = rows.unionByName(_in_turn(some, 0, F.hash(*line)), allowMissingColumns=True)
    so_far = (
        Window.partitionBy("hash", *line)
        .orderBy("turn")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    seen = _dealt(rows, most // ROWS_A_TASK).withColumn("seen", F.max("known").over(so_far))
    return seen.where(F.col("asked").isNotNull())


def any_null(names: Iterable[str]) -> Column:
    """Whether one of these columns is null."""
    return reduce(or_, (F.col(name).isNull() for name in names))


def _hash_of_row(asked: DataFrame) -> Column:
    """A hash of all in `asked` but maps, which Spark hashes not."""
    fields = asked.select("asked.*").dtypes
    return F.hash(*(F.col("asked")[name] for name, kind in fields if "map<" not in kind))


def _in_turn(rows: DataFrame, turn: int, line: Column) -> DataFrame:
    """`rows` with the `hash` of their line and their order on it in `turn`, in place of `at`.

    Of an instant, the lower `turn` comes first. A row is as it will be sorted before it is moved, so that
    nobody has to copy it on the way.
    """
    return rows.withColumns({"hash": line, "turn": F.col("at") * 2 + turn}).drop("at")


def _dealt(rows: DataFrame, tasks: int) -> DataFrame:
    """`rows` dealt out by their hash, to so many tasks or the session's, lines and their seconds in order."""
    usual = int(rows.sparkSession.conf.get("spark.sql.shuffle.partitions"))
    dealt = rows.repartition(tasks, "hash") if tasks > usual else rows.repartition("hash")
    second = F.shiftright("turn", _SECOND).bitwiseAND(F.lit((1 << 32) - 1))
    return dealt.sortWithinPartitions(F.shiftleft(F.col("hash").cast("long"), 32).bitwiseOR(second))
