"""Consistency: what was served on a day, looked up again offline; the two must be equal."""

from __future__ import annotations

from datetime import date
from functools import cache

from rich.table import Table

from features.serving.answered import DayLog, logged_days
from features.store import open_store
from pipelines.answers.compare import Content, compare
from pipelines.answers.logged import ComparableAnswers
from pipelines.answers.outcome import DayOutcome, Outcome, outcome_path
from pipelines.answers.tally import Tallies
from pipelines.errors import ConsistencyError, MissingPartitionError
from pipelines.files import write_whole
from pipelines.lake import Lake
from pipelines.materialize import snapshot_of
from pipelines.observing.console import console, stage
from pipelines.settings import Settings


def consistency(settings: Settings, ds: date | None = None) -> None:
    """Compare every logged answer of a day with Feast's get_historical_features at the same instant.

    The outcome goes to runs/DATASET/consistency/ds=D.json and, in short, to the terminal. A day on which
    nothing was logged is said to be one, and is no error.

    Args:
        settings: where the log and the lake are.
        ds: the UTC day on which was asked; by default the newest that has a log.

    Raises:
        ConsistencyError: of a feature, a larger share of values than `consistency.max_unequal` is not equal.
        StoreError: the registry does not know a feature service that was asked for.
    """
    logged = logged_days(settings.requests)
    ds = ds or (logged[-1] if logged else None)
    if ds is None or ds not in logged:
        console.print(
            f"No request was logged {f'on {ds}' if ds else 'yet'} under {settings.requests}; "
            "the service logs the share of requests that GATEHOUSE_REQUEST_LOG_SHARE says"
        )
        return
    with stage(settings, "consistency", ds) as facts:
        outcome = compare_day(settings, ds)
        path = outcome_path(settings, ds)
        write_whole(path, outcome.model_dump_json(indent=2) + "\n")
        facts |= {"requests": outcome.requests, "rows": outcome.rows, "at_fault": len(outcome.at_fault)}
    console.print(_table(outcome))
    console.print(_sentence(outcome))
    if outcome.at_fault:
        raise ConsistencyError(
            f"{_accusation(outcome)}. All are in {path}; docs/consistency.md says what to do"
        )


def compare_day(settings: Settings, ds: date) -> DayOutcome:
    """What came of the answers of `ds`; a bounded number of them is in memory at a time."""
    store, catalog = open_store(settings.home), settings.catalog
    log = DayLog(settings.requests, ds)
    answered, tallies = ComparableAnswers(log, catalog), Tallies(catalog)
    for answers in answered.chunks():
        tallies.add(answers, compare(store, catalog, answers, _contents(settings)))
    return DayOutcome(
        dataset=settings.dataset,
        ds=str(ds),
        requests=tallies.requests,
        rows=tallies.rows,
        skipped=dict(sorted(answered.skipped.items())),
        unreadable=log.unreadable,
        snapshots=tuple(map(str, sorted(answered.snapshots))),
        max_unequal=settings.params.consistency.max_unequal,
        features=tallies.outcomes(),
    )


def _contents(settings: Settings) -> Content:
    """What views have to serve, by the lake's manifests as they are when they are asked for first."""
    lake, catalog = Lake(settings.lake), settings.catalog

    @cache
    def content(view: str, ds: date) -> str | None:
        try:
            return snapshot_of(lake, catalog.view(view), ds).content
        except MissingPartitionError:
            return None

    return content


def _table(outcome: DayOutcome) -> Table:
    """A row a view, and one a feature that is not equal throughout; a column an outcome that there is."""
    kinds = [kind.label for kind in Outcome if kind is Outcome.EQUAL or outcome.count(kind)]
    table = Table(title=f"served on {outcome.ds}, beside the offline store")
    table.add_column("view", no_wrap=True)
    for kind in kinds:
        table.add_column(kind, justify="right")
    for view, features in outcome.by_view().items():
        table.add_row(view, *(f"{sum(own.counts[kind] for own in features):,}" for kind in kinds))
        for own in features:
            if own.unequal:
                name = own.column.removeprefix(f"{view}__")
                table.add_row(f"  {name}", *(f"{own.counts[kind]:,}" for kind in kinds), style="bold red")
    return table


def _sentence(outcome: DayOutcome) -> str:
    """How much was compared, and what was not."""
    left_out = {**outcome.skipped, **({"unreadable": outcome.unreadable} if outcome.unreadable else {})}
    tail = (
        "; left out: " + ", ".join(f"{count:,} {why}" for why, count in left_out.items()) if left_out else ""
    )
    return f"{outcome.rows:,} rows of {outcome.requests:,} requests compared{tail}"


def _accusation(outcome: DayOutcome) -> str:
    """The worst feature, with its worst example."""
    worst, *others = outcome.at_fault
    more = f"; {len(others)} more features are at fault" if others else ""
    return (
        f"{worst.unequal:,} of {worst.judged:,} values of {worst.column} ({worst.share:.2%}; at most "
        f"{outcome.max_unequal:.2%} may be) that were served on {outcome.ds} are not what the offline store "
        f"knows{more}. For example {worst.examples[0]}"
    )
