"""Aggregate: validated events to tiles, and tiles to the snapshots they touch."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from features.compile.spark import event_schema, profile_rows, snapshots, tile_schema, tiles
from features.declarations.groups import FeatureGroup, Profile, SequenceGroup
from pipelines.console import stage
from pipelines.days import DAY, Days
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.spark import spark_session
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
        facts["snapshot_rows"] = sum(rows)
        facts["groups"] = len(settings.catalog.views)


def read_days(spark: SparkSession, lake: Lake, table: str, days: Days, schema: StructType) -> DataFrame:
    """A table's partitions of `days`, with their day as column `ds`; empty when none has rows."""
    files = [str(path) for path in lake.files(table, days)]
    if not files:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).option("basePath", str(lake.folder(table))).parquet(*files)


def touched_days(lake: Lake, group: FeatureGroup | SequenceGroup, days: Days) -> Days:
    """`days`, extended to the last existing snapshot that was made from tiles which changed since."""
    reach = Days(start=days.start, end=days.end + DAY * group.ttl.days)
    contents = _tile_contents(lake, group, reach)
    stale = (
        ds
        for ds in lake.days(f"features/{group.name}")
        if days.end < ds <= reach.end
        and lake.manifest(f"features/{group.name}", ds).inputs != _snapshot_inputs(group, contents, ds)
    )
    return Days(start=days.start, end=max(stale, default=days.end))


def _aggregate_group(
    spark: SparkSession, lake: Lake, events: DataFrame, group: FeatureGroup | SequenceGroup, days: Days
) -> int:
    """Tiles, then snapshots; returns the number of snapshot rows."""
    source = f"tiles/{group.name}"
    made_from = {ds: {f"events/ds={ds}": lake.manifest("events", ds).content} for ds in days}
    _write_days(lake, source, group, tiles(group, events), days, made_from)
    touched = touched_days(lake, group, days)
    history = Days(start=touched.start - DAY * group.ttl.days, end=touched.end)
    group_tiles = read_days(spark, lake, source, history, tile_schema(group))
    rows = snapshots(group, group_tiles, touched.start, touched.end)
    contents = _tile_contents(lake, group, touched)
    inputs = {ds: _snapshot_inputs(group, contents, ds) for ds in touched}
    return _write_days(lake, f"features/{group.name}", group, rows, touched, inputs)


def _tile_contents(lake: Lake, group: FeatureGroup | SequenceGroup, days: Days) -> dict[date, str]:
    """Content hashes of the tiles that the snapshots of `days` may count."""
    source = f"tiles/{group.name}"
    first = days.start - DAY * group.ttl.days
    written = (ds for ds in lake.days(source) if first <= ds <= days.end)
    return {ds: lake.manifest(source, ds).content for ds in written}


def _snapshot_inputs(
    group: FeatureGroup | SequenceGroup, contents: Mapping[date, str], ds: date
) -> dict[str, str]:
    """The tiles a snapshot of `ds` is made from, the one that just left its window included."""
    window = Days(start=ds - DAY * group.ttl.days, end=ds)
    return {f"tiles/{group.name}/ds={day}": contents[day] for day in window if day in contents}


def _write_days(
    lake: Lake,
    table: str,
    group: FeatureGroup | SequenceGroup,
    rows: DataFrame,
    days: Days,
    inputs: Mapping[date, Mapping[str, str]],
) -> int:
    """Write one file a day, sorted by key, and swap the days in; returns the number of rows."""
    writers = min(len(days), rows.sparkSession.sparkContext.defaultParallelism)
    with lake.staging() as staged:
        (
            rows.repartition(writers, "ds")
            .sortWithinPartitions("ds", *(key.column for key in group.keys))
            .write.mode("overwrite")
            .partitionBy("ds")
            .parquet(str(staged))
        )
        return sum(manifest.rows for manifest in lake.publish_days(table, days, staged, inputs))


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
