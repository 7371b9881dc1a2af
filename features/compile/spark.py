"""Compile feature groups to Spark: events to daily tiles, tiles to snapshots, profile tables to views.

A tile holds one key's sums over one day, a snapshot of day D the sums over the windows that end
with D. Each tile is spread over the snapshots it counts in, so one expression serves a single day
(every tile then yields one row) and a backfill of many days in one job. Only built-in expressions:
no Python runs on a row.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from features.declarations.catalog import Catalog
from features.declarations.entities import Entity
from features.declarations.features import DType
from features.declarations.groups import Count, FeatureGroup, Measure, Profile, Rate, SequenceGroup, Sum

SPARK_TYPES: dict[DType, T.DataType] = {
    DType.FLOAT: T.FloatType(),
    DType.INT: T.LongType(),
    DType.STRING: T.StringType(),
    DType.STRINGS: T.ArrayType(T.StringType()),
    DType.INTS: T.ArrayType(T.LongType()),
}


def event_schema(catalog: Catalog) -> T.StructType:
    """Columns of the event table, the day of its partition included."""
    return T.StructType(
        [
            T.StructField("event_id", T.StringType()),
            T.StructField("event_timestamp", T.TimestampType()),
            T.StructField("created_timestamp", T.TimestampType()),
            *(T.StructField(entity.column, T.StringType()) for entity in catalog.entities),
            *(T.StructField(task.column, T.ByteType()) for task in catalog.tasks),
            *(T.StructField(feature.name, SPARK_TYPES[feature.dtype]) for feature in catalog.context),
            T.StructField("ds", T.DateType()),
        ]
    )


def tile_schema(group: FeatureGroup | SequenceGroup) -> T.StructType:
    """Columns of a group's tiles, the day of the partition included."""
    keys = [T.StructField(key.column, T.StringType()) for key in group.keys]
    day = T.StructField("ds", T.DateType())
    if isinstance(group, SequenceGroup):
        element = T.StructType(
            [
                T.StructField("event_time", T.LongType()),
                T.StructField("event_id", T.StringType()),
                *(T.StructField(entity.column, T.StringType()) for entity in group.elements),
            ]
        )
        return T.StructType([*keys, T.StructField("events", T.ArrayType(element)), day])
    sums = [T.StructField(name, T.LongType()) for name in ("impressions", *_label_sums(group))]
    return T.StructType([*keys, *sums, day])


def tiles(group: FeatureGroup | SequenceGroup, events: DataFrame) -> DataFrame:
    """The tiles of every day in `events`; events without one of the keys belong to no tile."""
    keyed = events.dropna(subset=[key.column for key in group.keys])
    if isinstance(group, SequenceGroup):
        return _sequence_tiles(group, keyed)
    sums = [F.count(F.lit(1)).alias("impressions")]
    for task in group.tasks:
        sums.append(F.coalesce(F.sum(f"label_{task}"), F.lit(0)).alias(f"{task}_positives"))
        sums.append(F.count(f"label_{task}").alias(f"{task}_labelled"))
    return keyed.groupBy("ds", *_columns(group.keys)).agg(*sums)


def snapshots(
    group: FeatureGroup | SequenceGroup, group_tiles: DataFrame, start: date, end: date
) -> DataFrame:
    """The snapshots of `start`..`end` from the tiles of those days and of the longest window before.

    A key whose last tile leaves the longest window gets one more snapshot, of zeros or empty lists:
    otherwise its last sums would be served as if they still held.
    """
    longest = group.window if isinstance(group, SequenceGroup) else group.windows[-1]
    first = F.greatest(F.col("ds"), F.lit(start))
    last = F.least(F.date_add("ds", longest), F.lit(end))
    spread = (
        group_tiles.where(first <= last)
        .withColumn("snapshot", F.explode(F.sequence(first, last)))
        .withColumn("age", F.datediff("snapshot", "ds"))
        .groupBy("snapshot", *_columns(group.keys))
    )
    if isinstance(group, SequenceGroup):
        summed = spread.agg(_latest(group).alias("latest"))
        features = _sequence_features(group)
    else:
        summed = spread.agg(
            *(
                F.sum(F.when(F.col("age") < days, F.col(column)).otherwise(0)).alias(f"{column}_{days}")
                for days in group.windows
                for column in ("impressions", *_label_sums(group))
            )
        )
        features = [
            _windowed(measure, days).cast(T.FloatType())
            for days in group.windows
            for measure in group.measures
        ]
    instant = F.to_timestamp(F.date_add("snapshot", 1))
    return summed.select(
        *_columns(group.keys),
        instant.alias("event_timestamp"),
        instant.alias("created_timestamp"),
        *(column.alias(feature.name) for feature, column in zip(group.features, features, strict=True)),
        F.col("snapshot").alias("ds"),
    )


def profile_rows(profile: Profile, table: DataFrame, known_since: date) -> DataFrame:
    """A profile view: its table's declared columns and links, known from the first instant of a day."""
    instant = F.to_timestamp(F.lit(known_since))
    return table.select(
        *_columns(profile.keys),
        instant.alias("event_timestamp"),
        instant.alias("created_timestamp"),
        *(F.col(feature.name).cast(SPARK_TYPES[feature.dtype]) for feature in profile.columns),
        *_columns(profile.links),
    )


def _columns(entities: tuple[Entity, ...]) -> list[str]:
    return [entity.column for entity in entities]


def _label_sums(group: FeatureGroup) -> list[str]:
    return [f"{task}_{what}" for task in group.tasks for what in ("positives", "labelled")]


def _windowed(measure: Measure, days: int) -> Column:
    match measure:
        case Count():
            return F.col(f"impressions_{days}")
        case Sum(task):
            return F.col(f"{task}_positives_{days}")
        case Rate(task, prior, strength):
            positives, labelled = F.col(f"{task}_positives_{days}"), F.col(f"{task}_labelled_{days}")
            return (positives + F.lit(strength * prior)) / (labelled + F.lit(strength))


def _newest(group: SequenceGroup, events: Column) -> Column:
    """The newest `length` structs of an array, newest first; event ids settle ties."""
    return F.slice(F.sort_array(events, asc=False), 1, group.length)


def _sequence_tiles(group: SequenceGroup, events: DataFrame) -> DataFrame:
    element = F.struct(
        F.unix_micros("event_timestamp").alias("event_time"),
        "event_id",
        *(F.coalesce(F.col(entity.column), F.lit("")).alias(entity.column) for entity in group.elements),
    )
    return (
        events.where(F.col(f"label_{group.task}") == 1)
        .groupBy("ds", *_columns(group.keys))
        .agg(_newest(group, F.collect_list(element)).alias("events"))
    )


def _latest(group: SequenceGroup) -> Column:
    nothing = F.slice("events", 1, 0)
    kept = F.when(F.col("age") < group.window, F.col("events")).otherwise(nothing)
    return _newest(group, F.flatten(F.collect_list(kept)))


def _sequence_features(group: SequenceGroup) -> list[Column]:
    """One list per field: naming a field of an array of structs takes it from each of them."""
    return [F.col(f"latest.{field}") for field in (*_columns(group.elements), "event_time")]
