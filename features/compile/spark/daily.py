"""Daily tiles and snapshots.

A tile holds what became known together of one key's events of one day; a snapshot of day D is folded
from the tiles of the windows that end with D, as far as they were known when D ended. Each tile is
spread over the snapshots it counts in, so one expression serves a single day (every tile then
yields one row) and a backfill of many days in one job.
"""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, GroupedData
from pyspark.sql import functions as sf

from features.compile.spark.groups import (
    counted_events,
    feature_columns,
    key_columns,
    partials_of,
    windowed_partials,
)
from features.compile.spark.partials import Partial, windowed
from features.compile.spark.sketches import with_sketches
from features.compile.spark.times import day_ending_at_or_after, known_instant
from features.declarations.groups import Aggregate
from features.declarations.windows import DAY


def known_events(group: Aggregate, events: DataFrame) -> DataFrame:
    """Events that count in the group, with the day whose snapshot is the first to know them."""
    return counted_events(group, events).withColumn("known", day_ending_at_or_after(known_instant()))


def daily_tiles(group: Aggregate, events: DataFrame) -> DataFrame:
    """The tiles of every day in `events`."""
    known = known_events(group, events)
    tile = ["ds", *key_columns(group), "known"]
    parts = partials_of(group)
    tiles = known.groupBy(*tile).agg(
        *(part.tiled(part.row).alias(part.name) for part in parts if not part.once)
    )
    tiles = with_sketches(tiles, parts, known, tile)
    return tiles.select("ds", *key_columns(group), "known", *(part.name for part in parts))


def daily_snapshots(group: Aggregate, tiles: DataFrame, start: date, end: date) -> DataFrame:
    """The snapshots of `start`..`end`."""
    folded = spread(group, tiles, start, end).agg(
        *(_over(part, window) for part, window in windowed_partials(group))
    )
    return folded.select(*key_columns(group), *snapshot_times(), *feature_columns(group), day_of_snapshot())


def spread(group: Aggregate, tiles: DataFrame, start: date, end: date) -> GroupedData:
    """Each tile beside every snapshot of `start`..`end` that it counts in, grouped by snapshot and key.

    Tiles are shuffled by key before they are spread, once each and not once a snapshot. `age` is how many
    days before the snapshot's the tile lies. A tile still yields a row on the day
    after it has left the longest window: a key without any other is told so, once, with zeros or
    empty lists; otherwise its last sums would be served as if they still held.
    """
    known_in_time = sf.col("known") < sf.date_add("ds", group.reach)
    first = sf.greatest("ds", "known", sf.lit(start))
    last = sf.least(sf.date_add("ds", group.reach), sf.lit(end))
    return (
        tiles.where(known_in_time & (first <= last))
        .repartition(*key_columns(group))
        .withColumn("snapshot", sf.explode(sf.sequence(first, last)))
        .withColumn("age", sf.datediff("snapshot", "ds"))
        .groupBy("snapshot", *key_columns(group))
    )


def within(window: timedelta, column: str) -> Column:
    """A tile's column where the tile lies within the window, null elsewhere."""
    return sf.when(sf.col("age") < window // DAY, sf.col(column))


def snapshot_times() -> tuple[Column, Column]:
    """A snapshot is of, and was known at, the first instant after its day."""
    instant = sf.to_timestamp(sf.date_add("snapshot", 1))
    return instant.alias("event_timestamp"), instant.alias("created_timestamp")


def day_of_snapshot() -> Column:
    return sf.col("snapshot").alias("ds")


def _over(part: Partial, window: timedelta) -> Column:
    return part.folded(within(window, part.name)).alias(windowed(part.name, window))
