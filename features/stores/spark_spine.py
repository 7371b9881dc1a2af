"""The spine on Spark: taken where it lies, and known by its rows' numbers where they have an order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.stores.spark_rows import microseconds
from features.stores.spine import Batches, SpineLike, is_parquet, of_file, of_table, timestamp_column

SparkSpineLike: TypeAlias = SpineLike | DataFrame
INSTANT = "__instant"  # a spine row's instant, microseconds since 1970
ROW = "__row"  # its number, where the spine has an order
_ARROW_LIMIT = "spark.sql.execution.arrow.localRelationThreshold"


@dataclass(frozen=True, slots=True)
class SparkSpine:
    """A spine as Spark reads it.

    Attributes:
        frame: its own columns and INSTANT, and ROW where it has an order.
        columns: its own columns, in order.
        batches: the same columns untouched by Spark, in the order of ROW; None for a spine of Spark's own.
    """

    frame: DataFrame
    columns: list[str]
    batches: Batches | None


def load_spark_spine(spark: SparkSession, spine: SparkSpineLike) -> SparkSpine:
    """Take a Spark frame, a SQL query over Spark's tables, a pandas frame, an Arrow table or a Parquet path.

    Raises:
        SpineError: no column, or more than one, could be the instant of a row.
    """
    frame, batches = _read(spark, spine)
    columns = [name for name in frame.columns if name != ROW]
    instant = timestamp_column({name: kind for name, kind in frame.dtypes if name != ROW})
    return SparkSpine(frame.withColumn(INSTANT, microseconds(frame, instant)), columns, batches)


def _read(spark: SparkSession, spine: Any) -> tuple[DataFrame, Batches | None]:
    if isinstance(spine, pd.DataFrame):
        spine = pa.Table.from_pandas(spine, preserve_index=False)
    if isinstance(spine, pa.Table):
        return _uploaded(spark, spine), lambda size: of_table(spine, size)
    if not is_parquet(spine):
        return (spark.sql(spine) if isinstance(spine, str) else spine), None
    path = str(spine)
    if not Path(path).is_file():  # a folder, a pattern or another file system: Spark's own to read
        return spark.read.parquet(path), None
    if _has_nanoseconds(pq.read_schema(path)):  # which Spark cannot read
        return _uploaded(spark, pq.read_table(path)), lambda size: of_file(path, size)
    frame = spark.read.parquet(path)
    return frame.select("*", F.col("_metadata.row_index").alias(ROW)), lambda size: of_file(path, size)


def _has_nanoseconds(schema: pa.Schema) -> bool:
    return any(pa.types.is_timestamp(field.type) and field.type.unit == "ns" for field in schema)


def _uploaded(spark: SparkSession, table: pa.Table) -> DataFrame:
    """The table with its row numbers, its instants as whole microseconds in UTC."""
    columns = {name: _for_spark(table[name]) for name in table.column_names}
    with _streamed(spark):
        return spark.createDataFrame(pa.table(columns | {ROW: pa.array(np.arange(table.num_rows))}))


def _for_spark(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    if not pa.types.is_timestamp(column.type):
        return column
    if column.type.unit == "ns":
        column = pc.floor_temporal(column, unit="microsecond")
    return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.timestamp("us", "UTC"))


@contextmanager
def _streamed(spark: SparkSession) -> Iterator[None]:
    """Let Arrow data reach Spark batch by batch; as one local relation it would fill the driver's heap."""
    before = spark.conf.get(_ARROW_LIMIT)
    spark.conf.set(_ARROW_LIMIT, "0")
    try:
        yield
    finally:
        spark.conf.set(_ARROW_LIMIT, before)
