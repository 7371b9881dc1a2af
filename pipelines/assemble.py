"""Assemble: events joined with the features known at their instant, as rows, as arrays, and as baselines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from features.declarations.groups import Profile
from features.store import apply
from features.stores.sql import connect, quoted, text
from pipelines.baselines import write_baselines
from pipelines.days import DAY, Days
from pipelines.errors import MissingPartitionError
from pipelines.lake import Lake
from pipelines.observing.console import stage
from pipelines.settings import Settings
from pipelines.stage_store import open_stage_store
from pipelines.training_sets import encoded_folder, rows_of, training_set
from pipelines.verdicts import require_passed
from training.data.fit import fit
from training.data.write import write_encoded


def assemble(settings: Settings, ds: date) -> None:
    """Write the training set of the run that ends on `ds`, its encoded arrays, and the run's baselines.

    Rows are the events of the split's days, in order of time. Encoders are fitted on the training
    days only, and baselines say what those days look like.

    Raises:
        NotValidatedError: events or snapshots the rows depend on have not passed their gate.
        MissingPartitionError: none of the split's days has been ingested.
    """
    lake = Lake(settings.lake)
    service = settings.params.features.service
    splits = settings.dataset_params.split.days(ds)
    days = Days(start=splits["train"].start, end=ds)
    with stage(settings, "assemble", days) as facts:
        inputs = _validated_inputs(settings, lake, days)
        store = open_stage_store(settings)
        apply(store, settings.catalog, settings.lake)
        table = training_set(service)
        with lake.staging() as staged:
            spine, rows = staged / "spine.parquet", staged / "0.parquet"
            _write_spine(settings, lake.files("events", days), spine)
            job = store.get_historical_features(
                entity_df=str(spine),  # a file, which either engine of the offline store reads
                features=store.get_feature_service(service),
                full_feature_names=True,
            )
            facts["rows"] = job.to_parquet(rows)
            manifest = lake.publish(table, ds, [rows], inputs)
        joined = pq.read_table(lake.folder(table, ds) / manifest.files[0].name)
        encoder = fit(settings.catalog, service, rows_of(joined, splits["train"]))
        write_encoded(encoder, joined, splits, encoded_folder(lake, service, ds), source=manifest.content)
        write_baselines(settings, ds, joined)
        facts["columns"] = joined.num_columns


def _validated_inputs(settings: Settings, lake: Lake, days: Days) -> dict[str, str]:
    """Partition to content hash of all that the join reads, each let through by its gate."""
    event_days = [ds for ds in lake.days("events") if ds in days]
    if not event_days:
        raise MissingPartitionError(
            f"no events of {days} in {lake.root}; "
            f"run `gatehouse ingest --start {days.start} --end {days.end}`"
        )
    require_passed(lake, "events", event_days)
    inputs = {f"events/ds={ds}": lake.manifest("events", ds).content for ds in event_days}
    for name in settings.catalog.service(settings.params.features.service).views:
        view, table = settings.catalog.view(name), f"features/{name}"
        if isinstance(view, Profile):
            require_passed(lake, table, None)
            inputs[table] = lake.manifest(table).content
            continue
        # An event of day D sees at best the snapshot of D - 1, or of D itself where the view is intraday,
        # and one as old as the TTL at worst.
        newest = days.end if view.intraday else days.end - DAY
        reach = Days(start=days.start - DAY * (view.reach + 1), end=newest)
        snapshot_days = [ds for ds in lake.days(table) if ds in reach]
        require_passed(lake, table, snapshot_days)
        inputs |= {f"{table}/ds={ds}": lake.manifest(table, ds).content for ds in snapshot_days}
    return inputs


def _write_spine(settings: Settings, files: Iterable[Path], spine: Path) -> None:
    """Write the events to join to a Parquet file: ids, instant, outcomes and context, in order of time."""
    catalog = settings.catalog
    columns = [
        "event_id",
        "event_timestamp",
        *(entity.column for entity in catalog.entities),
        *(task.column for task in catalog.tasks),
        *(quantity.name for quantity in catalog.asked_for),
        *(feature.name for feature in catalog.context),
    ]
    chosen = ", ".join(quoted(column) for column in columns)
    sources = ", ".join(text(str(path)) for path in files)
    events = f"read_parquet([{sources}], hive_partitioning = false)"
    query = f"SELECT {chosen} FROM {events} ORDER BY event_timestamp, event_id"  # noqa: S608 -- all quoted
    with connect() as connection:
        connection.execute(f"COPY ({query}) TO {text(str(spine))} (FORMAT parquet)")
