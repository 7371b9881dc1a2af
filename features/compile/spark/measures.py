"""The partials of measures, and how a measure is put together again from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pyspark.sql import Column
from pyspark.sql import functions as sf
from pyspark.sql.types import FloatType, LongType, StringType, StructField, StructType

from features.compile.spark.partials import Partial, windowed
from features.compile.spark.sketches import estimate, smallest_hashes
from features.declarations.entities import Entity
from features.declarations.measures import (
    Count,
    Distinct,
    Last,
    Max,
    Mean,
    Measure,
    Min,
    Rate,
    Sum,
    TimeSince,
    Trend,
)
from features.declarations.quantities import Quantity

MILLIONTHS = 1_000_000


def measure_from(measure: Measure, window: timedelta) -> Column:  # noqa: C901 -- one case a measure
    """A measure from its folded partials."""

    def part(name: str, span: timedelta = window) -> Column:
        return sf.col(windowed(name, span))

    match measure:
        case Count():
            return part("impressions")
        case Sum():
            return _total(measure, window)
        case Rate(task, prior, strength):
            positives, labelled = part(f"{task}_positives"), part(f"{task}_labelled")
            return (positives + sf.lit(strength * prior)) / (labelled + sf.lit(strength))
        case Mean(of):
            values = part(f"{of.name}_values")
            return sf.when(values > 0, part(f"{of.name}_millionths") / sf.lit(float(MILLIONTHS)) / values)
        case Min(of):
            return part(f"{of.name}_min")
        case Max(of):
            return part(f"{of.name}_max")
        case Distinct(of):
            return estimate(part(smallest_hashes(of).name))
        case Last(of):
            return part(f"{of.name}_last")[of.column]
        case TimeSince(task):
            return part(f"{task or 'impression'}_time")
        case Trend(of, short, long, strength):
            recent, usual = _total(of, short), _total(of, long)
            return (recent * sf.lit(long / short) + sf.lit(strength)) / (usual + sf.lit(strength))


def measure_partials(measure: Measure) -> Iterator[Partial]:  # noqa: C901 -- one case a measure
    """The columns of a tile that a measure is put together from."""
    match measure:
        case Count():
            yield _sum("impressions", sf.lit(1))
        case Sum(of):
            yield _sum(f"{of}_positives", sf.col(f"label_{of}")) if isinstance(of, str) else _millionths(of)
        case Rate(task):
            yield _sum(f"{task}_positives", sf.col(f"label_{task}"))
            yield _sum(f"{task}_labelled", sf.col(f"label_{task}").isNotNull().cast("int"))
        case Mean(of):
            yield _millionths(of)
            yield _sum(f"{of.name}_values", sf.col(of.name).isNotNull().cast("int"))
        case Min(of):
            yield Partial(f"{of.name}_min", FloatType(), sf.col(of.name), sf.min, sf.least)
        case Max(of):
            yield Partial(f"{of.name}_max", FloatType(), sf.col(of.name), sf.max, sf.greatest)
        case Distinct(of):
            yield smallest_hashes(of)
        case Last(of):
            yield _last(of)
        case TimeSince(task):
            happened = sf.unix_micros("event_timestamp")
            row = happened if task is None else sf.when(sf.col(f"label_{task}") == 1, happened)
            yield Partial(f"{task or 'impression'}_time", LongType(), row, sf.max, sf.greatest)
        case Trend(of):
            yield from measure_partials(of)


def _sum(name: str, row: Column) -> Partial:
    return Partial(
        name, LongType(), row.cast("bigint"), sf.sum, lambda one, other: one + other, nothing=sf.lit(0)
    )


def _millionths(quantity: Quantity) -> Partial:
    """A sum of floats depends on their order, so a quantity is summed in whole millionths."""
    return _sum(
        f"{quantity.name}_millionths", sf.round(sf.col(quantity.name).cast("double") * sf.lit(MILLIONTHS))
    )


def _last(entity: Entity) -> Partial:
    """The newest event that has the id; of equally old ones the greater event id counts."""
    dtype = StructType(
        [
            StructField("event_time", LongType()),
            StructField("event_id", StringType()),
            StructField(entity.column, StringType()),
        ]
    )
    event = sf.struct(sf.unix_micros("event_timestamp").alias("event_time"), "event_id", entity.column)
    row = sf.when(sf.col(entity.column).isNotNull(), event)
    return Partial(f"{entity.name}_last", dtype, row, sf.max, sf.greatest)


def _total(of: Count | Sum, window: timedelta) -> Column:
    if isinstance(of, Count):
        return sf.col(windowed("impressions", window))
    if isinstance(of.of, str):
        return sf.col(windowed(f"{of.of}_positives", window))
    return sf.col(windowed(f"{of.of.name}_millionths", window)) / sf.lit(float(MILLIONTHS))
