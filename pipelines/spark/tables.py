"""Lake tables in Spark: read days through their manifests, write days whose bytes follow from their rows.

How many files a day has, and which rows are in which, depends on the day alone and neither on the
machine nor on the days written along with it. So a backfill gives the bytes that its days would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.types import StructType

from pipelines.days import DAY, Days
from pipelines.lake import Lake

ROWS_PER_FILE = 8_000_000  # one task writes a file, so this bounds what a task sorts
ROWS_PER_JOB = 200_000_000  # a longer backfill is cut up: what one job shuffles has to fit on disk
_BUCKET = "_bucket"


def read_days(spark: SparkSession, lake: Lake, table: str, days: Days, schema: StructType) -> DataFrame:
    """A table's partitions of `days`, with their day as column `ds`; empty when none has rows."""
    files = [str(path) for path in lake.files(table, days)]
    if not files:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).option("basePath", str(lake.folder(table))).parquet(*files)


def jobs(days: Days, rows: Callable[[date], int]) -> Iterator[Days]:
    """Cut `days` into ranges for one Spark job each, of no more than `ROWS_PER_JOB` rows if they can.

    Starting a job costs more than a small day does, so days share one as long as they fit.
    """
    first, total = days.start, 0
    for ds in days:
        total += rows(ds)
        if ds > first and total > ROWS_PER_JOB:
            yield Days(start=first, end=ds - DAY)
            first, total = ds, rows(ds)
    yield Days(start=first, end=days.end)


def write_days(
    lake: Lake,
    table: str,
    rows: DataFrame,
    days: Days,
    *,
    order: Iterable[str],
    inputs: Mapping[date, Mapping[str, str]],
    rows_at_most: Mapping[date, int],
) -> int:
    """Write a frame with a column `ds`, sorted, and swap its days in; returns the number of rows.

    Args:
        lake: where to.
        table: its name.
        rows: the rows of `days`, and of no other day.
        days: a day without rows gets an empty partition.
        order: columns that name a row within its day.
        inputs: per day, the partitions it was made from and their content.
        rows_at_most: per day, a bound on its rows, from which the number of its files follows.
    """
    columns = tuple(order)
    buckets = {ds: -(-rows_at_most[ds] // ROWS_PER_FILE) or 1 for ds in days}
    parts = ["ds"]
    if max(buckets.values()) > 1:  # else each of the many small days would have one folder more
        rows, parts = rows.withColumn(_BUCKET, _bucket(columns[0], buckets)), ["ds", _BUCKET]
    writers = min(sum(buckets.values()), 4 * rows.sparkSession.sparkContext.defaultParallelism)
    with lake.staging() as staged:
        (
            rows.repartition(writers, *parts)
            .sortWithinPartitions(*parts, *columns)
            .write.mode("overwrite")
            .partitionBy(*parts)
            .parquet(str(staged))
        )
        return sum(manifest.rows for manifest in lake.publish_days(table, days, staged, inputs))


def _bucket(key: str, buckets: Mapping[date, int]) -> Column:
    """The file of its day that a row belongs to: all rows with the same first key share one."""
    several = ((ds, count) for ds, count in buckets.items() if count > 1)
    pairs = [sf.lit(value) for pair in several for value in pair]
    count = sf.coalesce(sf.element_at(sf.create_map(*pairs), sf.col("ds")), sf.lit(1))
    return sf.pmod(sf.xxhash64(key), count).cast("int")
