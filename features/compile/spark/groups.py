"""What daily and hourly tiles share: which events count in a group, and what is folded from them."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf

from features.compile.spark.measures import measure_from, measure_partials
from features.compile.spark.partials import Partial, windowed
from features.compile.spark.sequences import newest_events, sequence_columns
from features.compile.spark.spark_types import SPARK_TYPES
from features.declarations.groups import Aggregate, SequenceGroup
from features.declarations.measures import Count, windows_of


def key_columns(group: Aggregate) -> list[str]:
    return [key.column for key in group.keys]


def counted_events(group: Aggregate, events: DataFrame) -> DataFrame:
    """Events that have all of the group's keys; of a sequence the positive ones."""
    keyed = events.dropna(subset=key_columns(group))
    return keyed.where(sf.col(f"label_{group.task}") == 1) if isinstance(group, SequenceGroup) else keyed


def partials_of(group: Aggregate) -> tuple[Partial, ...]:
    """The columns of a group's tiles beside its keys, without repetition; impressions come first."""
    if isinstance(group, SequenceGroup):
        return (newest_events(group),)
    measures = (Count(), *group.measures)
    named = {partial.name: partial for measure in measures for partial in measure_partials(measure)}
    return tuple(named.values())


def windowed_partials(group: Aggregate) -> tuple[tuple[Partial, timedelta], ...]:
    """Which partials are needed over which windows."""
    if isinstance(group, SequenceGroup):
        return ((newest_events(group), group.window),)
    needed = {
        windowed(partial.name, window): (partial, window)
        for measure in group.measures
        for window in windows_of(measure, group.windows)
        for partial in measure_partials(measure)
    }
    return tuple(needed.values())


def feature_columns(group: Aggregate) -> list[Column]:
    """The features of a frame that has every windowed partial."""
    if isinstance(group, SequenceGroup):
        return sequence_columns(group)
    return [
        measure_from(measure, window).cast(SPARK_TYPES[feature.dtype]).alias(feature.name)
        for (measure, window), feature in zip(group.measured_windows, group.features, strict=True)
    ]
