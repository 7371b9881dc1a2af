"""Compile feature groups to Spark: events to daily tiles, tiles to snapshots, profile tables to views.

A tile holds one key's sums over one day, a snapshot of day D the sums over the windows that end
with D. Each tile is spread over the snapshots it counts in, so one expression serves a single day
(every tile then yields one row) and a backfill of many days in one job. Only built-in expressions:
no Python runs on a row.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf
from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DateType,
    FloatType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from features.declarations.catalog import Catalog
from features.declarations.entities import Entity
from features.declarations.features import DType
from features.declarations.groups import Count, FeatureGroup, Measure, Profile, Rate, SequenceGroup, Sum

SPARK_TYPES: dict[DType, DataType] = {
    DType.FLOAT: FloatType(),
    DType.INT: LongType(),
    DType.STRING: StringType(),
    DType.STRINGS: ArrayType(StringType()),
    DType.INTS: ArrayType(LongType()),
}


def event_schema(catalog: Catalog) -> StructType:
    """Columns of the event table, the day of its partition included."""
    return StructType(
        [
            StructField("event_id", StringType()),
            StructField("event_timestamp", TimestampType()),
            StructField("created_timestamp", TimestampType()),
            *(StructField(entity.column, StringType()) for entity in catalog.entities),
            *(StructField(task.column, ByteType()) for task in catalog.tasks),
            *(StructField(feature.name, SPARK_TYPES[feature.dtype]) for feature in catalog.context),
            StructField("ds", DateType()),
        ]
    )


def tile_schema(group: FeatureGroup | SequenceGroup) -> StructType:
    """Columns of a group's tiles, the day of the partition included."""
    keys = [StructField(key.column, StringType()) for key in group.keys]
    day = StructField("ds", DateType())
    if isinstance(group, SequenceGroup):
        element = StructType(
            [
                StructField("event_time", LongType()),
                StructField("event_id", StringType()),
                *(StructField(entity.column, StringType()) for entity in group.elements),
            ]
        )
        return StructType([*keys, StructField("events", ArrayType(element)), day])
    sums = [StructField(name, LongType()) for name in ("impressions", *_label_sums(group))]
    return StructType([*keys, *sums, day])


def tiles(group: FeatureGroup | SequenceGroup, events: DataFrame) -> DataFrame:
    """The tiles of every day in `events`; events without one of the keys belong to no tile."""
    keyed = events.dropna(subset=[key.column for key in group.keys])
    if isinstance(group, SequenceGroup):
        return _sequence_tiles(group, keyed)
    sums = [sf.count(sf.lit(1)).alias("impressions")]
    for task in group.tasks:
        sums.append(sf.coalesce(sf.sum(f"label_{task}"), sf.lit(0)).alias(f"{task}_positives"))
        sums.append(sf.count(f"label_{task}").alias(f"{task}_labelled"))
    return keyed.groupBy("ds", *_columns(group.keys)).agg(*sums)


def snapshots(
    group: FeatureGroup | SequenceGroup, group_tiles: DataFrame, start: date, end: date
) -> DataFrame:
    """The snapshots of `start`..`end` from the tiles of those days and of the longest window before.

    A key whose last tile leaves the longest window gets one more snapshot, of zeros or empty lists:
    otherwise its last sums would be served as if they still held.
    """
    longest = group.window if isinstance(group, SequenceGroup) else group.windows[-1]
    first = sf.greatest(sf.col("ds"), sf.lit(start))
    last = sf.least(sf.date_add("ds", longest), sf.lit(end))
    spread = (
        group_tiles.where(first <= last)
        .withColumn("snapshot", sf.explode(sf.sequence(first, last)))
        .withColumn("age", sf.datediff("snapshot", "ds"))
        .groupBy("snapshot", *_columns(group.keys))
    )
    if isinstance(group, SequenceGroup):
        summed = spread.agg(_latest(group).alias("latest"))
        features = _sequence_features(group)
    else:
        summed = spread.agg(
            *(
                sf.sum(sf.when(sf.col("age") < days, sf.col(column)).otherwise(0)).alias(f"{column}_{days}")
                for days in group.windows
                for column in ("impressions", *_label_sums(group))
            )
        )
        features = [
            _windowed(measure, days).cast(FloatType()) for days in group.windows for measure in group.measures
        ]
    instant = sf.to_timestamp(sf.date_add("snapshot", 1))
    return summed.select(
        *_columns(group.keys),
        instant.alias("event_timestamp"),
        instant.alias("created_timestamp"),
        *(column.alias(feature.name) for feature, column in zip(group.features, features, strict=True)),
        sf.col("snapshot").alias("ds"),
    )


def profile_rows(profile: Profile, table: DataFrame, known_since: date) -> DataFrame:
    """A profile view: its table's declared columns and links, known from the first instant of a day."""
    instant = sf.to_timestamp(sf.lit(known_since))
    return table.select(
        *_columns(profile.keys),
        instant.alias("event_timestamp"),
        instant.alias("created_timestamp"),
        *(sf.col(feature.name).cast(SPARK_TYPES[feature.dtype]) for feature in profile.columns),
        *_columns(profile.links),
    )


def _columns(entities: tuple[Entity, ...]) -> list[str]:
    return [entity.column for entity in entities]


def _label_sums(group: FeatureGroup) -> list[str]:
    return [f"{task}_{what}" for task in group.tasks for what in ("positives", "labelled")]


def _windowed(measure: Measure, days: int) -> Column:
    match measure:
        case Count():
            return sf.col(f"impressions_{days}")
        case Sum(task):
            return sf.col(f"{task}_positives_{days}")
        case Rate(task, prior, strength):
            positives, labelled = sf.col(f"{task}_positives_{days}"), sf.col(f"{task}_labelled_{days}")
            return (positives + sf.lit(strength * prior)) / (labelled + sf.lit(strength))


def _newest(group: SequenceGroup, events: Column) -> Column:
    """The newest `length` structs of an array, newest first; event ids settle ties."""
    return sf.slice(sf.sort_array(events, asc=False), 1, group.length)


def _sequence_tiles(group: SequenceGroup, events: DataFrame) -> DataFrame:
    element = sf.struct(
        sf.unix_micros("event_timestamp").alias("event_time"),
        "event_id",
        *(sf.coalesce(sf.col(entity.column), sf.lit("")).alias(entity.column) for entity in group.elements),
    )
    return (
        events.where(sf.col(f"label_{group.task}") == 1)
        .groupBy("ds", *_columns(group.keys))
        .agg(_newest(group, sf.collect_list(element)).alias("events"))
    )


def _latest(group: SequenceGroup) -> Column:
    nothing = sf.slice("events", 1, 0)
    kept = sf.when(sf.col("age") < group.window, sf.col("events")).otherwise(nothing)
    return _newest(group, sf.flatten(sf.collect_list(kept)))


def _sequence_features(group: SequenceGroup) -> list[Column]:
    """One list per field: naming a field of an array of structs takes it from each of them."""
    return [sf.col(f"latest.{field}") for field in (*_columns(group.elements), "event_time")]
