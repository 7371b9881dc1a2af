"""Data health: what came in each day, what became of it, and how scenarios differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import duckdb

from features.declarations.catalog import Catalog
from features.declarations.entities import SCENARIO
from pipelines.counts import DayCounts, read_counts
from pipelines.days import Days
from pipelines.errors import MissingPartitionError
from pipelines.lake import Lake
from pipelines.reporting.blocks import (
    Block,
    Cell,
    Figure,
    Group,
    Note,
    Picture,
    Prose,
    Section,
    Table,
    rows_of,
)
from pipelines.reporting.figures import daily_bars
from pipelines.reporting.words import count, percent, plural
from pipelines.settings import Settings

TOP_REASONS = 8
TOP_SCENARIOS = 30
FEW_EVENTS = 200  # a rate of fewer says little, so it is not compared


@dataclass(frozen=True, slots=True)
class ScenarioEvents:
    """Events of one scenario; `rates` are its tasks' shares of positives, None without labels."""

    scenario: str
    events: int
    rates: tuple[float | None, ...]


def health(settings: Settings, ds: date) -> Section:
    """Events per day, scenarios and quarantine, for the days up to `ds`."""
    lake = Lake(settings.lake)
    first = settings.dataset_params.days.start
    days = Days(start=min(first, ds), end=ds)
    blocks = tuple(_blocks(lake, settings.catalog, days))
    missing = Note("No day has been ingested yet; `gatehouse ingest` reads the raw log.")
    return Section("data", "Data health", blocks or (missing,))


def _blocks(lake: Lake, catalog: Catalog, days: Days) -> Iterator[Block]:
    counts = list(_counts(lake, days))
    if counts:
        yield from _daily(counts, days)
    scenarios = scenario_events(lake, catalog, days)
    if scenarios:
        yield _scenario_table(catalog, scenarios)
    if counts:
        yield _quarantine(counts)


def _counts(lake: Lake, days: Days) -> Iterator[DayCounts]:
    for ds in days:
        try:
            yield read_counts(lake, ds)
        except MissingPartitionError:
            continue


def _daily(counts: list[DayCounts], days: Days) -> Iterator[Block]:
    rows, kept = sum(day.rows for day in counts), sum(day.kept for day in counts)
    busiest = max(counts, key=lambda day: day.rows)
    absent = len(days) - len(counts)
    yield Prose(
        f"{plural(rows, 'raw row')} on {plural(len(counts), 'day')}: {count(kept)} became events, "
        f"{count(sum(day.duplicates for day in counts))} repeated an event that was there already, and "
        f"{count(sum(day.quarantined for day in counts))} went to quarantine."
    )
    if absent:
        yield Note(
            f"{plural(absent, 'day')} of {days} {'was' if absent == 1 else 'were'} never ingested.", bad=True
        )
    parts = {name: [getattr(day, name) for day in counts] for name in ("kept", "duplicates", "quarantined")}
    picture = Picture(
        daily_bars([day.ds for day in counts], parts), f"Raw rows per day, {days}, by what became of them"
    )
    yield Figure(
        (picture,),
        f"Rows of the raw log per UTC day. A gap or a step is worth a question to whoever writes the log. "
        f"The busiest day is {busiest.ds} with {plural(busiest.rows, 'row')}.",
    )


def scenario_events(lake: Lake, catalog: Catalog, days: Days) -> list[ScenarioEvents]:
    """Events and label rates of every scenario within `days`, most events first."""
    files = [str(path) for path in lake.files("events", days)]
    if not files:
        return []
    rates = "".join(f", avg({task.column})" for task in catalog.tasks)
    query = (
        f"SELECT {SCENARIO.column}, count(*){rates} FROM read_parquet(?, hive_partitioning = false) "  # noqa: S608 -- declared names only
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    with duckdb.connect() as connection:
        found = connection.execute(query, [files]).fetchall()
    return [ScenarioEvents(scenario, events, tuple(rates)) for scenario, events, *rates in found]


def _scenario_table(catalog: Catalog, scenarios: list[ScenarioEvents]) -> Table:
    total = sum(scenario.events for scenario in scenarios)
    tasks = range(len(catalog.tasks))
    # Tasks differ in how often they are positive: the tint compares a rate with the other scenarios' only.
    solid = [own for own in scenarios if own.events >= FEW_EVENTS]
    highest = [max((own.rates[task] or 0.0 for own in solid), default=0.0) for task in tasks]

    def rate(own: ScenarioEvents, task: int) -> Cell:
        text, known = percent(own.rates[task], 2), own in solid and highest[task] > 0.0
        return (
            Cell(text, weight=(own.rates[task] or 0.0) / highest[task]) if known else Cell(text, faint=True)
        )

    def row(own: ScenarioEvents) -> tuple[Cell, ...]:
        share = own.events / total
        rates = (rate(own, task) for task in tasks)
        return (Cell(own.scenario), Cell(count(own.events)), Cell(percent(share), weight=share), *rates)

    hidden = len(scenarios) - TOP_SCENARIOS
    rest = f" {plural(hidden, 'scenario')} with fewer events are left out." if hidden > 0 else ""
    return Table(
        head=("scenario", "events", "share", *(f"{task.name} rate" for task in catalog.tasks)),
        groups=(Group("", tuple(row(own) for own in scenarios[:TOP_SCENARIOS])),),
        caption="How large each scenario is, and how often its labels are positive. Rates are tinted against "
        f"the highest of their column, but for scenarios with fewer than {FEW_EVENTS} events; where they "
        f"differ, scenarios want different scores.{rest}",
    )


def _quarantine(counts: list[DayCounts]) -> Block:
    reasons: Counter[str] = Counter()
    for day in counts:
        reasons.update(day.reasons)
    if not reasons:
        return Note("No row went to quarantine.")
    total = sum(reasons.values())
    top = sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    rows = [(reason, count(rows), percent(rows / total)) for reason, rows in top[:TOP_REASONS]]
    if rest := sum(rows for _, rows in top[TOP_REASONS:]):
        rows.append((f"{plural(len(top) - TOP_REASONS, 'other reason')}", count(rest), percent(rest / total)))
    return Table(
        head=("reason for quarantine", "rows", "share"),
        groups=rows_of(*rows),
        caption="Why rows were refused. The rows are in the lake's table quarantine, with file and line.",
    )
