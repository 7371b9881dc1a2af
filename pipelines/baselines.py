"""Baselines in the lake: assemble writes what a run's training days look like, the gates compare with it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from features.declarations.groups import Profile, View
from pipelines.days import DAY, Days
from pipelines.files import write_whole
from pipelines.gates.baseline import Baseline, Population, describe, partition_name
from pipelines.gates.watched import watched_rows, watched_view
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.training_sets import rows_of, training_set


def baseline_path(lake: Lake, table: str, ds: date) -> Path:
    """Where a run's baseline of a table lies: baselines/TABLE/ds=D.json, D being the last day of the run."""
    return lake.root / "baselines" / table / f"ds={ds}.json"


def find_baseline(lake: Lake, table: str, ds: date) -> Baseline | None:
    """A run's baseline; None when there is none, or it was written by another version of Gatehouse."""
    try:
        return Baseline.model_validate_json(baseline_path(lake, table, ds).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


class Baselines:
    """The baselines of a table, newest first, read when they are asked for."""

    def __init__(self, lake: Lake, table: str) -> None:
        self._lake = lake
        self._table = table
        runs = (lake.root / "baselines" / table).glob("ds=*.json")
        self._runs = sorted(
            (date.fromisoformat(path.stem.removeprefix("ds=")) for path in runs), reverse=True
        )
        self._read: dict[date, Baseline | None] = {}

    def __bool__(self) -> bool:
        return bool(self._runs)

    def before(self, ds: date | None) -> Baseline | None:
        """The newest whose training days all lie before a day; of a table without days, the newest."""
        for run in self._runs:
            if run not in self._read:
                self._read[run] = find_baseline(self._lake, self._table, run)
            found = self._read[run]
            if found is not None and (ds is None or found.days.end < ds):
                return found
        return None


def write_baselines(settings: Settings, ds: date, rows: pa.Table) -> None:
    """Write the baselines of the run that ends on `ds`, of its training set and of every view it reads.

    Args:
        settings: the run's.
        ds: the last day of the run.
        rows: its training set.
    """
    lake = Lake(settings.lake)
    service = settings.params.features.service
    split = settings.dataset_params.split.days(ds)
    first = lake.days("events")[0]
    table = training_set(service)
    content = {partition_name(table, ds): lake.manifest(table, ds).content}
    # An event of day D knows the snapshot of the day before.
    held_out = len(split["test"])
    population = Population(split["train"], first + DAY, held_out, lambda days: rows_of(rows, days))
    columns = describe(population, watched_rows(settings.catalog, service))
    _write(lake, ds, Baseline(table=table, days=split["train"], inputs=content, columns=columns))
    for name in settings.catalog.service(service).views:
        _write(lake, ds, _view_baseline(lake, settings.catalog.view(name), split["train"], first))


def _view_baseline(lake: Lake, view: View, days: Days, first: date) -> Baseline:
    """What a view's snapshots of the training days look like, or the profile as it is."""
    table, profile = f"features/{view.name}", isinstance(view, Profile)
    partitions: list[date | None] = [None] if profile else [ds for ds in lake.days(table) if ds in days]
    inputs = {partition_name(table, ds): lake.manifest(table, ds).content for ds in partitions}
    columns = [*(key.column for key in view.keys), "event_timestamp", *(f.name for f in view.features)]
    read = {
        ds: pq.ParquetFile(lake.folder(table, ds) / file.name).read(columns)
        for ds in partitions
        for file in lake.manifest(table, ds).files
    }
    if not read:
        return Baseline(table=table, days=days, inputs=inputs, columns={})
    none = next(iter(read.values())).slice(0, 0)
    population = Population(
        days,
        first,
        len(days) if profile else 1,
        lambda wanted: pa.concat_tables(
            [none, *(rows for ds, rows in read.items() if ds is None or ds in wanted)]
        ),
    )
    return Baseline(table=table, days=days, inputs=inputs, columns=describe(population, watched_view(view)))


def _write(lake: Lake, ds: date, baseline: Baseline) -> None:
    write_whole(baseline_path(lake, baseline.table, ds), baseline.model_dump_json(indent=1) + "\n")
