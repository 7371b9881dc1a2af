"""Ingest: from a raw log to the lake's events. Every row is kept, a duplicate or quarantined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as sf

from pipelines.counts import DayCounts, write_counts
from pipelines.datasets.find import find_adapter
from pipelines.datasets.tables import RawTables, event_columns
from pipelines.days import Days
from pipelines.errors import RawDataError
from pipelines.lake import Lake
from pipelines.observing.console import stage
from pipelines.raw_days import fingerprint, rows_of_days, tally
from pipelines.settings import Settings
from pipelines.spark.session import spark_session


def ingest(settings: Settings, days: Days) -> None:
    """Write events, quarantine, users, items and counts; for the simulated log, the truth as well.

    Each of `days` gets its partitions, empty ones too, and a day's partition never depends on the days
    ingested along with it.

    Raises:
        RawDataError: a raw file is missing or not in shape, or the log does not reach `days`.
    """
    with stage(settings, "ingest", days) as facts:
        raw = find_adapter(settings.dataset)(spark_session(settings), settings, days)
        lake = Lake(settings.lake)
        columns = event_columns(settings.catalog)
        with rows_of_days(raw.events, days) as asked:
            tallied = tally(asked, columns)
            if not any(row["dated"] for row in tallied):
                _require_within(raw.events, days, settings.dataset)
            with lake.staging() as staged:
                daily = _stage_daily(asked, raw, columns, staged)
                counts = [_counted(ds, tallied, staged) for ds in days]
                for table, key in (("users", "user_id"), ("items", "item_id")):
                    _write_sorted(getattr(raw, table), (key,), staged / table)
                    published = lake.publish(table, None, (staged / table).glob("*.parquet"), raw.inputs)
                    facts[table] = published.rows
                for table in daily:
                    lake.publish_days(table, days, staged / table, dict.fromkeys(days, raw.inputs))
        for day in counts:
            write_counts(lake, day)
        facts.update(_totals(counts))


def _require_within(events: DataFrame, days: Days, dataset: str) -> None:
    """Raise `RawDataError` if the log ends before `days` or begins after them."""
    first, last = events.agg(*(sf.to_date(f("event_timestamp")) for f in (sf.min, sf.max))).first()
    if first is None:
        raise RawDataError(f"the log of {dataset} has no row with a usable time")
    if days.start > last or days.end < first:
        raise RawDataError(
            f"the log of {dataset} has no rows on {days}: it reaches from {first} to {last} (UTC). "
            f"Choose days with --ds or --start and --end, or correct datasets.{dataset}.days in params.yaml"
        )


def _stage_daily(asked: DataFrame, raw: RawTables, columns: Sequence[str], staged: Path) -> list[str]:
    """Write the tables with days below `staged`; their names."""
    same_event = Window.partitionBy("ds", "event_id")
    newest_first = same_event.orderBy(sf.desc("created_timestamp"), "source", "line")
    kept = (
        asked.filter(sf.col("reason").isNull())
        .withColumn("_nth", sf.row_number().over(newest_first))
        .filter(sf.col("_nth") == 1)
    )
    _write_daily(kept.select("ds", *columns), ("event_timestamp", "event_id"), staged / "events")
    rejected = asked.filter(sf.col("reason").isNotNull()).select("ds", "row", "reason", "source", "line")
    _write_daily(rejected, ("source", "line"), staged / "quarantine")
    if raw.truth is None:
        return ["quarantine", "events"]
    truth = raw.truth.withColumn("ds", sf.to_date("event_timestamp")).drop("event_timestamp")
    _write_daily(truth, ("event_id",), staged / "truth")
    return ["quarantine", "truth", "events"]


def _write_daily(frame: DataFrame, order: tuple[str, ...], folder: Path) -> None:
    """One sorted file a day, so that the same rows always give the same bytes."""
    arranged = frame.repartition("ds").sortWithinPartitions("ds", *order)
    arranged.write.partitionBy("ds").parquet(str(folder))


def _write_sorted(frame: DataFrame, order: tuple[str, ...], folder: Path) -> None:
    frame.repartition(1).sortWithinPartitions(*order).write.parquet(str(folder))


def _counted(ds: date, tallied: Sequence[Any], staged: Path) -> DayCounts:
    """What was staged for a day, held against what came in; `ValueError` unless it adds up."""
    of_day = [row for row in tallied if row["ds"] == ds]
    usable = [row for row in of_day if row["reason"] is None]
    return DayCounts(
        ds=ds,
        rows=sum(row["rows"] for row in of_day),
        kept=_staged_rows(staged / "events" / f"ds={ds}"),
        duplicates=sum(row["rows"] - row["events"] for row in usable),
        quarantined=_staged_rows(staged / "quarantine" / f"ds={ds}"),
        reasons={row["reason"]: row["rows"] for row in of_day if row["reason"] is not None},
        fingerprint=fingerprint(of_day),
    )


def _staged_rows(folder: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))


def _totals(counts: Sequence[DayCounts]) -> dict[str, object]:
    reasons: Counter[str] = Counter()
    for day in counts:
        reasons.update(day.reasons)
    names = ("rows", "kept", "duplicates", "quarantined")
    return {**{name: sum(getattr(day, name) for day in counts) for name in names}, "reasons": dict(reasons)}
