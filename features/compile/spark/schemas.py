"""Spark's schemas of the tables that the declarations describe."""

from __future__ import annotations

from pyspark.sql.types import (
    ByteType,
    DateType,
    FloatType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from features.compile.spark.groups import partials_of
from features.compile.spark.spark_types import SPARK_TYPES
from features.declarations.catalog import Catalog
from features.declarations.groups import Aggregate


def event_schema(catalog: Catalog) -> StructType:
    """Columns of the event table, the day of its partition included."""
    return StructType(
        [
            StructField("event_id", StringType()),
            StructField("event_timestamp", TimestampType()),
            StructField("created_timestamp", TimestampType()),
            *(StructField(entity.column, StringType()) for entity in catalog.entities),
            *(StructField(task.column, ByteType()) for task in catalog.tasks),
            *(StructField(quantity.name, FloatType()) for quantity in catalog.quantities),
            *(StructField(feature.name, SPARK_TYPES[feature.dtype]) for feature in catalog.context),
            StructField("ds", DateType()),
        ]
    )


def tile_schema(group: Aggregate) -> StructType:
    """Columns of a group's tiles, the day of the partition included.

    Beside its keys a tile has the day on which its events happened (`ds`) and the day whose snapshot
    was the first to know them (`known`); an hourly one has both as hours since 1970 as well.
    """
    keys = [StructField(key.column, StringType()) for key in group.keys]
    times = [StructField("known", DateType())]
    if group.intraday:
        times = [StructField("hour", LongType()), StructField("known_hour", LongType())]
    parts = [StructField(partial.name, partial.dtype) for partial in partials_of(group)]
    return StructType([*keys, *times, *parts, StructField("ds", DateType())])
