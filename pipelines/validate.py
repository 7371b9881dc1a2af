"""Validate: the data gates. A verdict on every partition; what did not pass stays out of all later stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from filelock import FileLock

from features.compile.expectations import TableSuites, event_suites, training_suites, view_suites
from features.declarations.groups import View
from pipelines.console import stage
from pipelines.days import DAY, Days, first_instant, snapshot_instant
from pipelines.errors import GateError
from pipelines.gates.expect import Expectations
from pipelines.gates.findings import find_failures
from pipelines.gates.outcome import message, write_summary
from pipelines.gates.partitions import (
    HISTORY,
    Partition,
    batches,
    label_statistics,
    quarantined_share,
    read_partition,
    volume,
)
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.verdicts import Verdict, find_verdict, write_verdict


@dataclass(frozen=True)
class Table:
    """What a gate judges: one table's partitions, read when they are asked for."""

    name: str
    suites: TableSuites
    partitions: Iterable[Partition]


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
    name, suites = f"training_sets/{service}", training_suites(settings.catalog, service)
    split = settings.dataset_params.split.days(ds)
    days = Days(start=split["train"].start, end=split["test"].end)
    facts = {"events": sum(_row_counts(lake, "events", days).values())}
    partition = read_partition(
        lake, name, ds, suites.columns, first_instant(days.start), snapshot_instant(days.end), facts
    )
    labels = [task.column for task in settings.catalog.tasks]
    shares = label_statistics(partition.rows, labels, before=snapshot_instant(split["train"].end))
    partition = replace(partition, statistics={**partition.statistics, **shares})
    _hold(settings, "training", Days.one(ds), [Table(name, suites, [partition])])


def _daily(lake: Lake, table: str, suites: TableSuites, days: Sequence[date] | Days) -> Iterator[Partition]:
    """Read a table's days one by one, each with its volume; of events also what ingest kept out."""
    ordered = sorted(days)
    counts = _row_counts(lake, table, Days(start=ordered[0] - DAY * HISTORY, end=ordered[-1]))
    for ds in ordered:
        lake.manifest(table, ds)  # a day never written ends here, with the command that writes it
        facts = volume(counts, ds)
        if table == "events":
            facts["quarantined_share"] = quarantined_share(lake, ds)
        yield read_partition(lake, table, ds, suites.columns, first_instant(ds), snapshot_instant(ds), facts)


def _view(settings: Settings, lake: Lake, view: View, days: Days) -> Table:
    name, suites = f"features/{view.name}", view_suites(view, settings.catalog.volume)
    if view in settings.catalog.profiles:
        known_since = first_instant(settings.dataset_params.days.start)
        facts = {"usual_rows": None, "ratio": None}
        profile = read_partition(lake, name, None, suites.columns, known_since, known_since, facts)
        return Table(name, suites, [profile])
    changed = [ds for ds in lake.days(name) if ds > days.end and _outdated(lake, name, ds)]
    return Table(name, suites, _daily(lake, name, suites, [*days, *changed]))


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
    checks = len(table.suites.partitions.expectations) + len(table.suites.rows.expectations)
    for batch in batches(table.partitions):
        title = _title(batch)
        findings = find_failures(expectations, table.suites, batch, title)
        for partition in batch:
            failures = tuple(findings[partition.name])
            yield Verdict(
                table=table.name,
                ds=str(partition.ds) if partition.ds else None,
                content=partition.content,
                passed=not failures,
                checks=checks,
                failures=failures,
            )


def _title(batch: Sequence[Partition]) -> str:
    first, last = batch[0].ds, batch[-1].ds
    if first is None:
        return "all"
    return str(first) if first == last else f"{first}_{last}"
