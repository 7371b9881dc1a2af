"""The raw log by days: which day a row belongs to, and what a day's rows come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from pipelines.datasets.reading import OPEN_QUOTE, reading_raw
from pipelines.days import Days
from pipelines.errors import RawDataError


@contextmanager
def rows_of_days(events: DataFrame, days: Days) -> Iterator[DataFrame]:
    """The raw rows of `days`, cached: `RawTables.events` with their day, `ds`, and `row` for `raw`.

    A row's day is that of its time. A row without a usable time is put down to the day that most rows of
    its file lie on, so that the gate of the day it came with hears of it; which days are asked for makes
    no difference to that. `row` is JSON text where the row is rejected, null elsewhere.

    Raises:
        RawDataError: a row runs on over the next ones, no row of a file has a usable time, or a file
            cannot be read to its end.
    """
    as_json = sf.to_json("raw", {"ignoreNullFields": "false"})
    rows = events.withColumns(
        {
            "ds": sf.to_date("event_timestamp"),
            "row": sf.when(sf.col("reason").isNotNull(), as_json),
        }
    ).drop("raw")
    within = sf.col("ds").between(sf.lit(days.start), sf.lit(days.end))
    near = rows.filter(within | sf.col("ds").isNull()).persist()
    try:
        with reading_raw():
            yield _settled(rows, near).filter(within)
    finally:
        near.unpersist()


def _settled(rows: DataFrame, near: DataFrame) -> DataFrame:
    """`near`, with a day for its rows that have none."""
    runs_on = sf.col("reason") == OPEN_QUOTE
    timeless = (
        near.filter(sf.col("ds").isNull() | runs_on)
        .groupBy("source")
        .agg(sf.min(sf.when(runs_on, sf.col("line"))).alias("runs_on"))
        .orderBy("source")
        .collect()
    )
    for row in timeless:
        if row["runs_on"] is not None:
            raise RawDataError(
                f"{row['source']} row {row['runs_on']}: {OPEN_QUOTE}; close or double the quote"
            )
    return _with_usual_days(rows, near, [row["source"] for row in timeless]) if timeless else near


def _with_usual_days(rows: DataFrame, near: DataFrame, timeless: Sequence[str]) -> DataFrame:
    """`near`, its rows without a time put down to the day that most rows of their file lie on."""
    of_files = rows.filter(sf.col("ds").isNotNull() & sf.col("source").isin(*timeless))
    usual = {
        row["source"]: row["ds"]
        for row in of_files.groupBy("source").agg(sf.mode("ds", deterministic=True).alias("ds")).collect()
    }
    for source in timeless:
        if source not in usual:
            raise RawDataError(
                f"{source} has no row with a usable time; correct the time's column or its unit, or the file"
            )
    days = sf.create_map(*(sf.lit(part) for pair in usual.items() for part in pair))
    return near.withColumn("ds", sf.coalesce("ds", days[sf.col("source")]))


def tally(rows: DataFrame, columns: Sequence[str]) -> list[Any]:
    """Per day and reason: `rows`, those with a time (`dated`), how many `events` they are, and `content`.

    The content is a sum of hashes over the columns of the event table and the rejected row, nulls told
    apart. So it is the same whatever the order of the rows, and whichever files and lines they lie in.

    Args:
        rows: as `rows_of_days` gives them.
        columns: those of the event table.
    """
    told = [*columns, "row"]
    hashed = sf.xxhash64(*told, *(sf.col(name).isNull() for name in told))
    grouped = rows.groupBy("ds", "reason").agg(
        sf.count("*").alias("rows"),
        sf.count("event_timestamp").alias("dated"),
        sf.count_distinct("event_id").alias("events"),
        sf.sum(hashed.cast("decimal(38, 0)")).alias("content"),
    )
    return list(grouped.collect())


def fingerprint(tallied: Sequence[Any]) -> str:
    """What stands for all rows of one day: 32 hex digits, from its part of a `tally`."""
    total = sum(int(row["content"]) for row in tallied)
    return f"{total % (1 << 128):032x}"
