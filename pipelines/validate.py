"""Validate: the data gates. A verdict on every partition; what did not pass stays out of all later stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from filelock import FileLock

from features.compile.drift import with_drift
from features.compile.expectations import TableSuites, event_suites, training_suites, view_suites
from features.declarations.features import Feature
from features.declarations.groups import Profile, View
from pipelines.baselines import Baselines, find_baseline
from pipelines.days import DAY, Days, first_instant, snapshot_instant
from pipelines.errors import GateError
from pipelines.gates.against import BaselineOf, held_against
from pipelines.gates.comparison import Drift
from pipelines.gates.expect import Expectations
from pipelines.gates.findings import find_failures
from pipelines.gates.outcome import message, write_summary
from pipelines.gates.partitions import (
    HISTORY,
    Partition,
    batches,
    label_statistics,
    quarantine,
    read_partition,
    volume,
)
from pipelines.gates.watched import Watched, watched_rows, watched_view
from pipelines.lake import Lake
from pipelines.observing.console import stage
from pipelines.settings import Settings
from pipelines.training_sets import training_set
from pipelines.verdicts import Verdict, find_verdict, write_verdict


@dataclass(frozen=True)
class Table:
    """What a gate judges: one table's partitions, read when they are asked for.

    Attributes:
        name: for example "features/user_engagement".
        suites: what is expected of it whatever the day.
        partitions: its partitions.
        features: the columns that are held against the training days.
    """

    name: str
    suites: TableSuites
    partitions: Iterable[Partition]
    features: Mapping[str, Feature] = field(default_factory=dict)


def validate_events(settings: Settings, days: Days) -> None:
    """Judge the events of `days`: types, ids, labels, times, and each day's volume.

    Raises:
        GateError: a day did not pass; the message names table, day, column and rows.
        MissingPartitionError: a day has not been ingested.
    """
    lake = Lake(settings.lake)
    suites = event_suites(settings.catalog)
    table = Table("events", suites, _daily(lake, "events", suites, days))
    _hold(settings, "events", days, [table])


def validate_features(settings: Settings, days: Days) -> None:
    """Judge the snapshots of `days`, later ones that changed since they were judged, and the profiles.

    Raises:
        GateError: a snapshot did not pass; the message names table, day, column and rows.
        MissingPartitionError: a snapshot has not been written.
    """
    lake = Lake(settings.lake)
    tables = [_view(settings, lake, view, days) for view in settings.catalog.views]
    _hold(settings, "features", days, tables)


def validate_training(settings: Settings, ds: date) -> None:
    """Judge the training set that ends on `ds`: every event once, labels worth learning, features in range.

    Raises:
        GateError: the set did not pass; the message names column and rows.
        MissingPartitionError: the set has not been assembled.
    """
    lake, service = Lake(settings.lake), settings.params.features.service
    name, suites = training_set(service), training_suites(settings.catalog, service)
    split = settings.dataset_params.split.days(ds)
    days = Days(start=split["train"].start, end=split["test"].end)
    facts = {"events": sum(_row_counts(lake, "events", days).values())}
    partition = read_partition(
        lake, name, ds, suites.columns, first_instant(days.start), snapshot_instant(days.end), facts
    )
    labels = [task.column for task in settings.catalog.tasks]
    shares = label_statistics(partition.rows, labels, before=snapshot_instant(split["train"].end))
    partition = replace(partition, statistics={**partition.statistics, **shares})
    watched = tuple(watched_rows(settings.catalog, service))
    baseline = find_baseline(lake, name, ds)
    table = _compared(Table(name, suites, [partition]), watched, lambda _: baseline, split["test"])
    _hold(settings, "training", Days.one(ds), [table])


def _daily(lake: Lake, table: str, suites: TableSuites, days: Sequence[date] | Days) -> Iterator[Partition]:
    """Read a table's days one by one, each with its volume; of events also what ingest kept out."""
    ordered = sorted(days)
    counts = _row_counts(lake, table, Days(start=ordered[0] - DAY * HISTORY, end=ordered[-1]))
    for ds in ordered:
        lake.manifest(table, ds)  # a day never written ends here, with the command that writes it
        facts = volume(counts, ds)
        if table == "events":
            facts |= quarantine(lake, ds)
        yield read_partition(lake, table, ds, suites.columns, first_instant(ds), snapshot_instant(ds), facts)


def _view(settings: Settings, lake: Lake, view: View, days: Days) -> Table:
    name, suites = f"features/{view.name}", view_suites(view, settings.catalog.volume)
    watched, baselines = tuple(watched_view(view)), Baselines(lake, name)
    if isinstance(view, Profile):
        known_since = first_instant(settings.dataset_params.days.start)
        facts = {"usual_rows": None, "ratio": None}
        profile = read_partition(lake, name, None, suites.columns, known_since, known_since, facts)
        return _compared(Table(name, suites, [profile]), watched, baselines.before)
    changed = [ds for ds in lake.days(name) if ds > days.end and _outdated(lake, name, ds)]
    table = Table(name, suites, _daily(lake, name, suites, [*days, *changed]))
    return _compared(table, watched, baselines.before)


def _compared(
    table: Table, watched: Sequence[Watched], baseline_of: BaselineOf, held_out: Days | None = None
) -> Table:
    """A table whose partitions are held against the training days as well."""
    return replace(
        table,
        partitions=(
            held_against(partition, table.name, watched, baseline_of, held_out)
            for partition in table.partitions
        ),
        features={column.column: column.feature for column in watched},
    )


def _outdated(lake: Lake, table: str, ds: date) -> bool:
    """Whether a partition was judged once and has changed since."""
    verdict = find_verdict(lake, table, ds)
    return verdict is not None and verdict.content != lake.manifest(table, ds).content


def _row_counts(lake: Lake, table: str, days: Days) -> dict[date, int]:
    return {ds: lake.manifest(table, ds).rows for ds in lake.days(table) if ds in days}


def _hold(settings: Settings, gate: str, days: Days, tables: Iterable[Table]) -> None:
    """Judge tables, write verdicts, Data Docs and a summary, and raise when a partition did not pass."""
    lake = Lake(settings.lake)
    store = settings.runs / "gx"
    store.mkdir(parents=True, exist_ok=True)
    with stage(settings, f"validate_{gate}", days) as facts, FileLock(store / "lock"):
        expectations = Expectations(store, settings.reports / "data_docs", gate)
        verdicts = [verdict for table in tables for verdict in _judge(expectations, table)]
        for verdict in verdicts:
            write_verdict(lake, verdict)
        docs = expectations.write_docs()
        summary = settings.runs / "gates" / f"{gate}.json"
        write_summary(summary, gate, days, verdicts)
        facts["partitions"] = len(verdicts)
        facts["checks"] = sum(verdict.checks for verdict in verdicts)
        facts["stopped"] = sum(not verdict.passed for verdict in verdicts)
        if facts["stopped"]:
            raise GateError(message(gate, days, verdicts, summary, docs))


def _judge(expectations: Expectations, table: Table) -> Iterator[Verdict]:
    always = len(table.suites.partitions.expectations) + len(table.suites.rows.expectations)
    for batch in batches(table.partitions):
        drifts = [partition.drift or Drift() for partition in batch]
        indices = {column for drift in drifts for column in drift.indices}
        null_shifts = {column for drift in drifts for column in drift.null_shifts}
        suites = with_drift(
            table.suites,
            {column: feature for column, feature in table.features.items() if column in indices},
            {column: feature for column, feature in table.features.items() if column in null_shifts},
        )
        findings = find_failures(expectations, suites, batch, _title(batch))
        for partition, drift in zip(batch, drifts, strict=True):
            failures = tuple(findings[partition.name])
            yield Verdict(
                table=table.name,
                ds=str(partition.ds) if partition.ds else None,
                content=partition.content,
                passed=not failures,
                checks=always + len(drift.indices) + len(drift.null_shifts),
                failures=failures,
                drift=partition.drift,
            )


def _title(batch: Sequence[Partition]) -> str:
    first, last = batch[0].ds, batch[-1].ds
    if first is None:
        return "all"
    return str(first) if first == last else f"{first}_{last}"
