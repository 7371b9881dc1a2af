"""Tables of published versions for the terminal: the list, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from pipelines.registry import PROD
from pipelines.registry.cards import Listed
from pipelines.registry.publication import Publication, by_scenario
from training.evaluation import TaskMetrics

MISSING = "-"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def version_table(versions: Sequence[Listed], now: int) -> Table:
    """Versions with day, stage, AUC, GAUC and log loss of their first task on their held-out days, and age.

    Args:
        versions: what to list.
        now: seconds since 1970, UTC.
    """
    table = Table(title="Published versions; metrics of the first task on each one's own held-out days")
    for name in ("version", "day", "stage", "task"):
        table.add_column(name)
    for name in ("AUC", "GAUC", "log loss", "age"):
        table.add_column(name, justify="right")
    for line in versions:
        task, *metrics = _first_task(line.publication)
        table.add_row(
            line.version.tag,
            line.version.ds,
            PROD if line.in_production else "",
            task,
            *metrics,
            _age(now - line.version.at),
            style="bold green" if line.in_production else "",
        )
    return table


def difference(first: str, before: Publication, second: str, after: Publication) -> Iterator[RenderableType]:
    """What differs between two versions: metrics by scenario and task, settings, days, features.

    Args:
        first: name of the one.
        before: its publication.
        second: name of the other.
        after: its publication.
    """
    yield _metrics(first, before, second, after)
    if before.card.days["test"] != after.card.days["test"]:
        yield "They were measured on different days: metrics differ by the days as well as by the models."
    yield _values("Days and rows", first, _days(before), second, _days(after), same="The days are the same.")
    yield _values(
        "Settings",
        first,
        dict(_flat(before.settings)),
        second,
        dict(_flat(after.settings)),
        same="The settings are the same.",
    )
    yield from _features(first, before, second, after)


def _metrics(first: str, before: Publication, second: str, after: Publication) -> Table:
    """AUC and log loss of both by scenario and task; scenarios of only one of them too."""
    table = Table(title=f"{first} and {second} on their held-out days")
    table.add_column("scenario")
    table.add_column("task")
    for name in ("AUC", "log loss"):
        for column in (f"{name} {first}", second, "change"):
            table.add_column(column, justify="right")
    old, new = by_scenario(before.metrics), by_scenario(after.metrics)
    for scenario in [*old, *(name for name in new if name not in old)]:
        left, right = old.get(scenario, {}), new.get(scenario, {})
        for task in [*left, *(name for name in right if name not in left)]:
            one, other = left.get(task), right.get(task)
            table.add_row(scenario, task, *_pair(one, other, "auc"), *_pair(one, other, "log_loss"))
    return table


def _pair(one: TaskMetrics | None, other: TaskMetrics | None, name: str) -> tuple[str, str, str]:
    """A metric of both, and by how much it changed."""
    before, after = (None if own is None else getattr(own, name) for own in (one, other))
    change = MISSING if before is None or after is None else f"{after - before:+.4f}"
    return _number(before), _number(after), change


def _values(
    title: str, first: str, before: Mapping[str, Any], second: str, after: Mapping[str, Any], *, same: str
) -> RenderableType:
    """The entries that differ, side by side."""
    names = [name for name in {**before, **after} if before.get(name, MISSING) != after.get(name, MISSING)]
    if not names:
        return same
    table = Table(title=title)
    for column in ("", first, second):
        table.add_column(column)
    for name in names:
        table.add_row(name, str(before.get(name, MISSING)), str(after.get(name, MISSING)))
    return table


def _days(publication: Publication) -> dict[str, str]:
    card = publication.card
    return {
        split: f"{first} .. {last}, {card.rows[split]:,} rows" for split, (first, last) in card.days.items()
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as "models.pepnet.gates" to value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _features(first: str, before: Publication, second: str, after: Publication) -> Iterator[str]:
    if before.card.service != after.card.service:
        yield f"Feature services: {before.card.service} and {after.card.service}."
    for own, name, other in ((before, first, after), (after, second, before)):
        alone = [column for column in own.card.columns if column not in other.card.columns]
        if alone:
            yield f"Only {name} reads {', '.join(alone)}."
    if before.card.columns == after.card.columns:
        yield f"Both read the same {len(before.card.columns)} columns."


def _first_task(publication: Publication | None) -> tuple[str, str, str, str]:
    if publication is None:
        return (MISSING,) * 4
    task = publication.card.tasks[0]
    own = publication.metrics.overall[task]
    return task, _number(own.auc), _number(own.gauc), _number(own.log_loss)


def _age(seconds: int) -> str:
    """The largest unit that fits, for example "3 d"; nothing is younger than 0 s."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "0 s"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.4f}"
