"""Aggregate: validated events to tiles, and tiles to the snapshots they touch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from features.compile.spark import (
    event_schema,
    profile_rows,
    row_order,
    snapshots,
    tile_order,
    tile_schema,
    tiles,
)
from features.declarations.groups import Aggregate, Profile
from pipelines.days import DAY, Days
from pipelines.lake import Lake
from pipelines.manifest import Manifest
from pipelines.observing.console import stage
from pipelines.settings import Settings
from pipelines.spark.session import spark_session
from pipelines.spark.tables import jobs, read_days, write_days
from pipelines.verdicts import require_passed

JOBS_AT_ONCE = 4  # a small group's job leaves cores idle; a few at once fill them


def aggregate(settings: Settings, days: Days) -> None:
    """Write the tiles of `days` and every snapshot that they touch, for all groups; then the profiles.

    A snapshot is touched when it lies in `days`, or when it exists and was made from other tiles
    than there are now: so a corrected day mends the snapshots of the days after it.

    Raises:
        NotValidatedError: a day's events have not passed their gate.
        MissingPartitionError: a day has not been ingested.
    """
    lake = Lake(settings.lake)
    with stage(settings, "aggregate", days) as facts:
        for ds in days:
            lake.manifest("events", ds)
        require_passed(lake, "events", days)
        spark = spark_session(settings)
        events = read_days(spark, lake, "events", days, event_schema(settings.catalog)).cache()
        with ThreadPoolExecutor(JOBS_AT_ONCE) as pool:
            rows = list(
                pool.map(
                    lambda group: _aggregate_group(spark, lake, events, group, days),
                    settings.catalog.aggregates,
                )
            )
        events.unpersist()
        for profile in settings.catalog.profiles:
            rows.append(_write_profile(spark, lake, profile, settings.dataset_params.days.start))
        facts["rows"] = sum(rows)
        facts["groups"] = len(settings.catalog.views)


def touched_days(lake: Lake, group: Aggregate, days: Days) -> Days:
    """`days`, extended to the last existing snapshot that was made from other inputs than there are now."""
    later = Days(start=days.start, end=days.end + DAY * group.reach)
    inputs = _Inputs(lake, group, later)
    stale = (
        ds
        for ds in lake.days(f"features/{group.name}")
        if days.end < ds <= later.end
        and lake.manifest(f"features/{group.name}", ds).inputs != inputs.contents(ds)
    )
    return Days(start=days.start, end=max(stale, default=days.end))


def _aggregate_group(spark: SparkSession, lake: Lake, events: DataFrame, group: Aggregate, days: Days) -> int:
    """Tiles, then snapshots; returns the number of snapshot rows."""
    source = f"tiles/{group.name}"
    manifests = {ds: lake.manifest("events", ds) for ds in days}
    write_days(
        lake,
        source,
        tiles(group, events),
        days,
        order=tile_order(group),
        inputs={ds: {f"events/ds={ds}": manifest.content} for ds, manifest in manifests.items()},
        rows_at_most={ds: manifest.rows for ds, manifest in manifests.items()},
    )
    touched = touched_days(lake, group, days)
    inputs = _Inputs(lake, group, touched)
    if group.intraday:
        require_passed(lake, "events", inputs.days)
    rows = 0
    for job in jobs(touched, inputs.rows):
        history = Days(start=job.start - DAY * group.reach, end=job.end)
        group_tiles = read_days(spark, lake, source, history, tile_schema(group))
        heads = events  # a daily group looks at tiles alone
        if group.intraday:
            heads = read_days(spark, lake, "events", history, events.schema)
        rows += write_days(
            lake,
            f"features/{group.name}",
            snapshots(group, group_tiles, heads, job.start, job.end),
            job,
            order=row_order(group),
            inputs={ds: inputs.contents(ds) for ds in job},
            rows_at_most={ds: inputs.rows(ds) for ds in job},
        )
    return rows


class _Inputs:
    """What the snapshots of some days are made from: tiles, and for an intraday group events too.

    Attributes:
        days: the days of all these partitions, those that just left a window included.
    """

    def __init__(self, lake: Lake, group: Aggregate, snapshot_days: Days) -> None:
        self._reach = group.reach
        self.days = Days(start=snapshot_days.start - DAY * group.reach, end=snapshot_days.end)
        tables = [f"tiles/{group.name}", *(["events"] if group.intraday else [])]
        self._manifests = {
            (table, ds): lake.manifest(table, ds)
            for table in tables
            for ds in lake.days(table)
            if ds in self.days
        }

    def contents(self, ds: date) -> dict[str, str]:
        """Partition to content hash of all that the snapshot of `ds` is made from."""
        return {f"{table}/ds={day}": manifest.content for (table, day), manifest in self._of(ds)}

    def rows(self, ds: date) -> int:
        """How many rows there are to fold into the snapshot of `ds`, which has no more than these."""
        return sum(manifest.rows for _, manifest in self._of(ds))

    def _of(self, ds: date) -> Iterator[tuple[tuple[str, date], Manifest]]:
        window = Days(start=ds - DAY * self._reach, end=ds)
        return ((key, manifest) for key, manifest in self._manifests.items() if key[1] in window)


def _write_profile(spark: SparkSession, lake: Lake, profile: Profile, known_since: date) -> int:
    source = lake.manifest(profile.table)
    table = spark.read.parquet(*(str(path) for path in lake.files(profile.table)))
    rows = profile_rows(profile, table, known_since)
    with lake.staging() as staged:
        ordered = rows.repartition(1).sortWithinPartitions(profile.keys[0].column)
        ordered.write.mode("overwrite").parquet(str(staged))
        inputs = {profile.table: source.content}
        manifest = lake.publish(f"features/{profile.name}", None, staged.glob("*.parquet"), inputs)
    return manifest.rows
