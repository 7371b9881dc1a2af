"""Online and offline: whether what was served is what the offline store knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from pipelines.answers.outcome import DayOutcome, FeatureOutcome, Outcome, newest_outcome
from pipelines.reporting.blocks import Block, Cell, Fold, Group, Note, Prose, Section, Table, rows_of
from pipelines.reporting.words import count, percent, plural
from pipelines.settings import Settings


def consistency(settings: Settings, ds: date) -> Section:
    """The newest day of requests that was compared; requests are of another clock than the run's days."""
    outcome = newest_outcome(settings)
    if outcome is None:
        nothing = (
            "No answer of the online store has been compared yet; `gatehouse consistency` compares them."
        )
        return Section("consistency", "Online and offline", (Note(nothing),))
    return Section("consistency", "Online and offline", tuple(_blocks(outcome)))


def _blocks(outcome: DayOutcome) -> Iterator[Block]:
    yield Prose(
        f"{plural(outcome.rows, 'row')} of {plural(outcome.requests, 'request')} of {outcome.ds}, answered "
        f"from the snapshot of {', '.join(outcome.snapshots) or 'no day'}, looked up again offline at the "
        "instant of the answer."
    )
    if outcome.features:
        yield _table(outcome)
    if examples := [(own, example) for own in outcome.at_fault for example in own.examples]:
        rows = [
            (own.column, ", ".join(f"{key}={id_}" for key, id_ in example.ids.items()), example.instant,
             example.online, example.offline)
            for own, example in examples
        ]  # fmt: skip
        head = ("feature", "ids", "instant", "online", "offline")
        yield Fold("Examples that are not equal", (Table(head, rows_of(*rows), "", text_columns=5),))
    skipped = {**outcome.skipped, "in lines that are not whole": outcome.unreadable}
    if left_out := [f"{plural(number, 'request')} {why}" for why, number in skipped.items() if number]:
        yield Note(f"Not compared: {'; '.join(left_out)}.")


def _table(outcome: DayOutcome) -> Table:
    return Table(
        head=("view", "equal", "not equal", "share", "corrected since", "not served yet"),
        groups=(Group("", tuple(_row(view, own) for view, own in outcome.by_view().items())),),
        caption="Values of each view. Not equal: different, or missing on one side. Corrected since: not "
        "equal, and the day was written anew after it was served. Not served yet: equal to the snapshot that "
        "was served, while the lake has a newer row of that instant. The share is of those that could be "
        "equal.",
    )


def _row(view: str, features: Sequence[FeatureOutcome]) -> tuple[Cell, ...]:
    unequal, judged = sum(own.unequal for own in features), sum(own.judged for own in features)
    share = unequal / judged if judged else None
    return (
        Cell(view),
        Cell(count(_sum(features, Outcome.EQUAL))),
        Cell(count(unequal), heat=1.0 if unequal else 0.0, best=bool(unequal)),
        Cell(percent(share)),
        Cell(count(_sum(features, Outcome.CORRECTED))),
        Cell(count(_sum(features, Outcome.NOT_SERVED))),
    )


def _sum(features: Sequence[FeatureOutcome], kind: Outcome) -> int:
    return sum(own.counts[kind.label] for own in features)
