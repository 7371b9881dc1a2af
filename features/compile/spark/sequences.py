"""Daily tiles and snapshots of sequence groups: a key's most recent positive events, newest first."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf

from features.compile.spark.daily import (
    day_of_snapshot,
    key_columns,
    keyed_events,
    snapshot_times,
    spread,
    within,
)
from features.declarations.groups import SequenceGroup


def sequence_tiles(group: SequenceGroup, events: DataFrame) -> DataFrame:
    """Per key and day the newest `length` positives; a busy key keeps a heap of no more than these."""
    element = sf.struct(
        sf.unix_micros("event_timestamp").alias("event_time"),
        "event_id",
        *(sf.coalesce(sf.col(entity.column), sf.lit("")).alias(entity.column) for entity in group.elements),
    )
    newest = sf.max_by("element", "element", group.length)
    return (
        keyed_events(group, events)
        .where(sf.col(f"label_{group.task}") == 1)
        .select("ds", *key_columns(group), "known", element.alias("element"))
        .groupBy("ds", *key_columns(group), "known")
        .agg(sf.sort_array(newest, asc=False).alias("events"))
    )


def sequence_snapshots(group: SequenceGroup, tiles: DataFrame, start: date, end: date) -> DataFrame:
    """The snapshots of `start`..`end`."""
    latest = _newest(group, sf.flatten(sf.collect_list(within(group.window, "events"))))
    gathered = spread(group, tiles, start, end).agg(latest.alias("latest"))
    # Naming a field of an array of structs takes it from each of them.
    fields = [f"latest.{field}" for field in (*(entity.column for entity in group.elements), "event_time")]
    features = (
        sf.col(field).alias(feature.name) for feature, field in zip(group.features, fields, strict=True)
    )
    return gathered.select(*key_columns(group), *snapshot_times(), *features, day_of_snapshot())


def _newest(group: SequenceGroup, events: Column) -> Column:
    """The newest `length` structs of an array, newest first; event ids settle ties."""
    return sf.slice(sf.sort_array(events, asc=False), 1, group.length)
