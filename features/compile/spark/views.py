"""The tiles and rows of any declared view."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from features.compile.spark.daily import daily_snapshots, daily_tiles
from features.compile.spark.groups import key_columns
from features.compile.spark.hourly import hourly_snapshots, hourly_tiles
from features.compile.spark.spark_types import SPARK_TYPES
from features.declarations.groups import Aggregate, Profile


def tiles(group: Aggregate, events: DataFrame) -> DataFrame:
    """The tiles of every day in `events`; events without one of the keys belong to no tile."""
    return hourly_tiles(group, events) if group.intraday else daily_tiles(group, events)


def snapshots(
    group: Aggregate, group_tiles: DataFrame, events: DataFrame, start: date, end: date
) -> DataFrame:
    """The rows of `start`..`end`.

    Args:
        group: what is declared.
        group_tiles: the tiles of those days and of the `group.reach` days before them.
        events: the events of the same days; only an intraday group reads them.
        start: the first day.
        end: the last day, included.
    """
    if group.intraday:
        return hourly_snapshots(group, group_tiles, events, start, end)
    return daily_snapshots(group, group_tiles, start, end)


def profile_rows(profile: Profile, table: DataFrame, known_since: date) -> DataFrame:
    """A profile view: its table's declared columns and links, known from the first instant of a day."""
    instant = sf.to_timestamp(sf.lit(known_since))
    return table.select(
        *(key.column for key in profile.keys),
        instant.alias("event_timestamp"),
        instant.alias("created_timestamp"),
        *(sf.col(feature.name).cast(SPARK_TYPES[feature.dtype]) for feature in profile.columns),
        *(link.column for link in profile.links),
    )


def tile_order(group: Aggregate) -> tuple[str, ...]:
    """Columns that name a tile within its day; partitions are sorted by them."""
    return (*key_columns(group), *(("hour", "known_hour") if group.intraday else ("known",)))


def row_order(group: Aggregate) -> tuple[str, ...]:
    """Columns that name a row within its day: the keys, and the instant where a day has many."""
    return (*key_columns(group), *(("event_timestamp",) if group.intraday else ()))
