"""A lake table's rows as Spark reads them: keys, features, instants, and each row's place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructType, TimestampNTZType

from features.stores.partitions import data_files
from features.stores.rows import datetime_of
from features.stores.views import ViewColumns

_TYPES = {
    "FLOAT": "float", "BIGINT": "bigint", "VARCHAR": "string",
    "VARCHAR[]": "array<string>", "BIGINT[]": "array<bigint>",
}  # fmt: skip


_FILES_A_DAY = 1 << 17  # and
_ROWS_A_FILE = 1 << 32  # are more than there are, and leave room for 44 years of days in 63 bits


@dataclass(frozen=True, slots=True)
class SparkRows:
    """A view's rows.

    Attributes:
        frame: k0, k1, ... (keys), f0, f1, ... (features), event, created and place: of two rows, the one
            of the later file, or later in a file, has the larger place.
        files: what it reads.
    """

    frame: DataFrame
    files: list[str]

    @property
    def most(self) -> int:
        """There are at most so many rows, as the files' footers say."""
        return sum(pq.read_metadata(file).num_rows for file in self.files)


def rows_of(spark: SparkSession, view: ViewColumns, earliest: int | None, latest: int | None) -> SparkRows:
    """The view's rows with `event` in earliest..latest, microseconds since 1970; None leaves a side open.

    A created time that is missing is the event's. A feature that a file lacks is null.
    """
    files = [str(file) for file in data_files(view.folder, datetime_of(earliest), datetime_of(latest))]
    schema = _schema(spark.read.parquet(files[-1]).schema if files else StructType(), view)
    if files:
        table = spark.read.schema(schema).option("basePath", str(view.folder)).parquet(*files)
        place = _file(table, files) * _ROWS_A_FILE + F.col("_metadata.row_index")
    else:
        table, place = spark.createDataFrame([], schema), F.lit(0).cast("long")
    event = microseconds(table, view.event_timestamp)
    rows = table.select(
        *(named(key).alias(f"k{number}") for number, key in enumerate(view.keys)),
        *(named(column.name).alias(f"f{number}") for number, column in enumerate(view.columns)),
        event.alias("event"),
        F.coalesce(microseconds(table, view.created_timestamp), event).alias("created"),
        place.alias("place"),
    ).where("event IS NOT NULL")
    if earliest is not None:
        rows = rows.where(F.col("event") >= earliest)
    if latest is not None:
        rows = rows.where(F.col("event") <= latest)
    return SparkRows(rows, files)


def _file(table: DataFrame, files: list[str]) -> SparkColumn:
    """The number of the file that a row lies in: later files have larger ones."""
    one_a_day = len({Path(file).parent for file in files}) == len(files)
    # Names are text, made for every row of a file: they are left alone where days tell files apart.
    number = (F.lit(0) if one_a_day else F.substring_index("_metadata.file_name", "-", 1)).cast("long")
    if "ds" in table.columns:
        number += F.date_diff("ds", F.lit(_day(files[0]))) * _FILES_A_DAY
    return number


def _day(file: str) -> date:
    """The day of the partition that `file` lies in."""
    return date.fromisoformat(Path(file).parent.name.removeprefix("ds="))


def microseconds(frame: DataFrame, column: str) -> SparkColumn:
    """A time column as whole microseconds since 1970; naive times are UTC, whatever the session's zone."""
    if isinstance(frame.schema[column].dataType, TimestampNTZType):
        epoch = F.lit("1970-01-01 00:00:00").cast("timestamp_ntz")
        return F.timestamp_diff("MICROSECOND", epoch, named(column))
    return F.unix_micros(named(column))


def named(column: str) -> SparkColumn:
    """A column by its very name, dots and all."""
    return F.col("`" + column.replace("`", "``") + "`")


def _schema(written: StructType, view: ViewColumns) -> StructType:
    """What to read: columns as the newest file has them, and as declared where it lacks them."""
    schema = StructType()
    for name in (*view.keys, view.event_timestamp, view.created_timestamp):
        fallback = StringType() if name in view.keys else "timestamp"
        schema.add(name, written[name].dataType if name in written.names else fallback)
    for column in view.columns:
        known = column.name in written.names
        schema.add(column.name, written[column.name].dataType if known else _TYPES[column.sql_type])
    return schema
