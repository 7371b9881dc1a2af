"""Sequences: a key's most recent positive events, newest first, as a partial like any other."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as sf
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType

from features.compile.spark.partials import Partial, windowed
from features.declarations.groups import SequenceGroup


def newest_events(group: SequenceGroup) -> Partial:
    """The newest `length` positives; of equally old ones the greater event id is the newer.

    A busy key keeps a heap of no more than these.
    """
    dtype = ArrayType(
        StructType(
            [
                StructField("event_time", LongType()),
                StructField("event_id", StringType()),
                *(StructField(entity.column, StringType()) for entity in group.elements),
            ]
        )
    )
    event = sf.struct(
        sf.unix_micros("event_timestamp").alias("event_time"),
        "event_id",
        *(sf.coalesce(sf.col(entity.column), sf.lit("")).alias(entity.column) for entity in group.elements),
    )

    def newest(events: Column) -> Column:
        return sf.slice(sf.sort_array(events, asc=False), 1, group.length)

    return Partial(
        "events",
        dtype,
        row=event,
        fold=lambda lists: newest(sf.flatten(sf.collect_list(lists))),
        join=lambda one, other: newest(sf.concat(one, other)),
        gather=lambda element: sf.max_by(element, element, group.length),
        nothing=sf.array().cast(dtype),
    )


def sequence_columns(group: SequenceGroup) -> list[Column]:
    """The features of a frame that has the newest events of the window."""
    events = windowed("events", group.window)
    # Naming a field of an array of structs takes it from each of them.
    fields = (*(entity.column for entity in group.elements), "event_time")
    return [
        sf.col(f"{events}.{field}").alias(feature.name)
        for feature, field in zip(group.features, fields, strict=True)
    ]
