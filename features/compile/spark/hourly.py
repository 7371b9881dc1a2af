"""Hourly tiles, and the rows of intraday groups: one for every instant at which a key's features change.

At an instant within hour H a window of W hours holds the tiles of the hours H - W to H - 1 (the tail)
and the events that became known since H began (the head), both exactly. So a key's features
change when an event of it becomes known and when a tile leaves a window; in between they hold, and
an ordinary point-in-time join finds what was true at any instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
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
from features.compile.spark.times import (
    HOUR_MICROSECONDS,
    day_ending_at_or_after,
    hour_ending_at_or_after,
    hour_of,
    known_instant,
    start_of,
)
from features.declarations.groups import Aggregate
from features.declarations.windows import DAY, HOUR


def hourly_tiles(group: Aggregate, events: DataFrame) -> DataFrame:
    """The tiles of every hour in `events`, told apart by the first whole hour that knows them."""
    dated = counted_events(group, events).withColumns(
        {
            "hour": hour_of(sf.unix_micros("event_timestamp")),
            "known_hour": hour_ending_at_or_after(known_instant()),
        }
    )
    tile = ["ds", *key_columns(group), "hour", "known_hour"]
    parts = partials_of(group)
    tiles = dated.groupBy(*tile).agg(
        *(part.tiled(part.row).alias(part.name) for part in parts if not part.once)
    )
    return with_sketches(tiles, parts, dated, tile)


def hourly_snapshots(
    group: Aggregate, tiles: DataFrame, events: DataFrame, start: date, end: date
) -> DataFrame:
    """The rows at the instants of `start`..`end`, from the tiles and events of the days within reach."""
    first, last = start_of(start), start_of(end + DAY)
    keys = key_columns(group)
    dated = _known_within(group, events, first, last)
    points = (
        _heads(group, dated)
        .unionByName(_turns(group, dated, tiles, first, last), allowMissingColumns=True)
        .withColumn("now", hour_of(sf.col("instant")))
    )
    tails = _tails(group, tiles, first, last)
    merged = points.join(tails, [*keys, "now"], "left").select(*keys, "instant", *_merged(group))
    instant = sf.timestamp_micros("instant")
    return merged.select(
        *keys,
        instant.alias("event_timestamp"),
        instant.alias("created_timestamp"),
        *feature_columns(group),
        day_ending_at_or_after(sf.col("instant")).alias("ds"),
    )


def _known_within(group: Aggregate, events: DataFrame, first: int, last: int) -> DataFrame:
    """Events that become known in (first, last], while some window still reaches them.

    `instant` is when, `now` the hour it lies in, `hour` the one the event happened in.
    """
    instant = sf.col("instant")
    return (
        counted_events(group, events)
        .withColumn("instant", known_instant())
        .where((instant > first) & (instant <= last))
        .withColumns({"now": hour_of(instant), "hour": hour_of(sf.unix_micros("event_timestamp"))})
        .where(sf.col("now") - sf.col("hour") <= _hours(group.all_windows[-1]))
    )


def _heads(group: Aggregate, dated: DataFrame) -> DataFrame:
    """What is known of the running hour after each instant within it, per key."""
    keys = key_columns(group)
    parts = windowed_partials(group)
    hour = Window.partitionBy(*keys, "now").orderBy("instant")
    so_far = hour.rangeBetween(Window.unboundedPreceding, Window.currentRow)
    rows = dated.where(~_whole_hour()).repartition(*keys, "now")  # which all windows below can work on
    rows = rows.select(
        *keys,
        "now",
        "instant",
        *(_counted(part, window, keys).alias(_head(part.name, window)) for part, window in parts),
    )
    running = (
        part.gathered(sf.col(_head(part.name, window))).over(so_far).alias(_head(part.name, window))
        for part, window in parts
    )
    last_of_instant = sf.coalesce(sf.lead("instant").over(hour) > sf.col("instant"), sf.lit(True))
    return rows.select(*keys, "instant", *running, last_of_instant.alias("last")).where("last").drop("last")


def _counted(part: Partial, window: timedelta, keys: Sequence[str]) -> Column:
    """A row's value of a part where the window reaches it; of equal ones that count once, the first's."""
    value = _reached(window, part.row)
    if not part.once:
        return value
    equal = Window.partitionBy(*keys, "now", part.row).orderBy("instant")
    so_far = equal.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return sf.when(sf.count(value).over(so_far) == 1, value)


def _turns(group: Aggregate, dated: DataFrame, tiles: DataFrame, first: int, last: int) -> DataFrame:
    """Key and instant of whole hours at which a window gains or loses a tile."""
    keys = key_columns(group)
    gained = dated.where(_whole_hour()).select(*keys, "instant")
    leaving = sf.array(
        *(
            # A tile that became known in the very hour a window leaves it was counted in the head.
            sf.when(sf.col("known_hour") <= sf.col("hour") + (span + 1), sf.col("hour") + (span + 1))
            for span in map(_hours, group.all_windows)
        )
    )
    lost = tiles.select(*keys, sf.explode(leaving).alias("hour")).select(
        *keys, (sf.col("hour") * HOUR_MICROSECONDS).alias("instant")
    )
    instant = sf.col("instant")
    return gained.union(lost.where((instant > first) & (instant <= last))).distinct()


def _tails(group: Aggregate, tiles: DataFrame, first: int, last: int) -> DataFrame:
    """Per key and hour `now`, the tiles of the whole hours before it; shuffled before they are spread."""
    keys = key_columns(group)
    longest = _hours(group.all_windows[-1])
    earliest = sf.greatest(
        sf.col("hour") + 1, sf.col("known_hour"), sf.lit(first // HOUR_MICROSECONDS).cast("bigint")
    )
    latest = sf.least(sf.col("hour") + longest, sf.lit(last // HOUR_MICROSECONDS).cast("bigint"))
    folded = [
        part.fold(_reached(window, sf.col(part.name))).alias(_tail(part.name, window))
        for part, window in windowed_partials(group)
    ]
    return (
        tiles.where(earliest <= latest)
        .repartition(*keys)
        .withColumn("now", sf.explode(sf.sequence(earliest, latest)))
        .groupBy(*keys, "now")
        .agg(*folded)
    )


def _merged(group: Aggregate) -> Sequence[Column]:
    return [
        part.joined(sf.col(_tail(part.name, window)), sf.col(_head(part.name, window))).alias(
            windowed(part.name, window)
        )
        for part, window in windowed_partials(group)
    ]


def _reached(window: timedelta, value: Column) -> Column:
    """A value where the window that ends in hour `now` reaches its `hour`, null elsewhere."""
    return sf.when(sf.col("now") - sf.col("hour") <= _hours(window), value)


def _whole_hour() -> Column:
    return sf.col("instant") % HOUR_MICROSECONDS == 0


def _hours(window: timedelta) -> int:
    return window // HOUR


def _head(name: str, window: timedelta) -> str:
    return f"head_{windowed(name, window)}"


def _tail(name: str, window: timedelta) -> str:
    return f"tail_{windowed(name, window)}"
