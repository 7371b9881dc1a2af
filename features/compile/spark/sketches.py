"""How many different ids: the smallest of their hashes, which merge without double counting.

Fewer than SKETCH_SIZE ids are counted exactly; of more, how densely the smallest hashes lie tells how many
there are (k minimum values: Bar-Yossef et al., Counting distinct elements in a data stream, 2002).
"""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as sf
from pyspark.sql.types import ArrayType, LongType

from features.compile.spark.partials import Partial
from features.declarations.entities import Entity

SKETCH_SIZE = 1024
_HASHES = 2.0**64  # how many values a hash can take; the smallest is -2^63
_SKETCH = ArrayType(LongType())


def smallest_hashes(entity: Entity) -> Partial:
    """The smallest hashes of an entity's different ids, ascending.

    Gathered by a heap of no more than these. A heap cannot tell equal hashes apart, so rows that repeat one
    must be left out before.
    """
    column = sf.col(entity.column)
    return Partial(
        f"{entity.name}_hashes",
        _SKETCH,
        row=sf.when(column.isNotNull(), sf.xxhash64(column)),
        fold=lambda sketches: _smallest(sf.flatten(sf.collect_list(sketches))),
        join=lambda one, other: _smallest(sf.concat(one, other)),
        gather=lambda hashes: sf.min_by(hashes, hashes, SKETCH_SIZE),
        nothing=sf.array().cast(_SKETCH),
        once=True,
    )


def with_sketches(
    tiles: DataFrame, parts: Iterable[Partial], events: DataFrame, tile: list[str]
) -> DataFrame:
    """`tiles` and the sketches among `parts`, of the events with the same values in the columns `tile`."""
    for part in parts:
        if part.once:
            sketches = sketched(events.select(*tile, part.row.alias("id")), tile, part.name)
            tiles = tiles.join(sketches, tile, "left")
    return tiles


def sketched(ids: DataFrame, keys: list[str], name: str) -> DataFrame:
    """Each key's smallest `id`s in the column `name`; keys without any are left out.

    Repeated ids are removed first and across all tasks: what is sorted of a busy key are its ids and not its
    events. Of these a task sends on the smallest alone, for which the session must have set
    spark.sql.optimizer.windowGroupLimitThreshold to the size of a sketch. `min_by` would need no sort, but
    makes room for a whole sketch for each key, and most keys have few ids.
    """
    rank = sf.row_number().over(Window.partitionBy(*keys).orderBy("id"))
    smallest = (
        ids.where("id IS NOT NULL").distinct().withColumn("rank", rank).where(sf.col("rank") <= SKETCH_SIZE)
    )
    return smallest.groupBy(*keys).agg(sf.sort_array(sf.collect_list("id")).cast(_SKETCH).alias(name))


def estimate(hashes: Column) -> Column:
    """How many ids a sketch has seen: all it holds, or as many as the density of the smallest tells."""
    share = (sf.element_at(hashes, SKETCH_SIZE).cast("double") + sf.lit(_HASHES / 2)) / sf.lit(_HASHES)
    held = sf.size(hashes)
    return sf.when(held < SKETCH_SIZE, held.cast("double")).otherwise(sf.lit(SKETCH_SIZE - 1.0) / share)


def _smallest(hashes: Column) -> Column:
    return sf.slice(sf.sort_array(sf.array_distinct(hashes)), 1, SKETCH_SIZE)
