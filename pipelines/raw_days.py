"""The raw log by days: which day a row belongs to, and what a day's rows come to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as sf


def dated(events: DataFrame, first: date) -> DataFrame:
    """Add `ds`, and turn `raw` into `row`: JSON text where the row is rejected, null elsewhere.

    Args:
        events: `RawTables.events`.
        first: the day that a row without a usable time is put down to.
    """
    as_json = sf.to_json("raw", {"ignoreNullFields": "false"})
    return events.withColumns(
        {
            "ds": sf.coalesce(sf.to_date("event_timestamp"), sf.lit(first)),
            "row": sf.when(sf.col("reason").isNotNull(), as_json),
        }
    ).drop("raw")


def tally(rows: DataFrame, columns: Sequence[str]) -> list[Any]:
    """Per day and reason: `rows`, those with a time (`dated`), how many `events` they are, and `content`.

    The content is a sum of hashes over the columns of the event table and the rejected row, nulls told
    apart. So it is the same whatever the order of the rows, and whichever files and lines they lie in.

    Args:
        rows: as `dated` gives them.
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
