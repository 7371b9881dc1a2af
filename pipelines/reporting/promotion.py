"""Promotion: the challenger beside the champion, scenario by scenario, and what blocks it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from pipelines.promotion.verdict import Champion, Difference, Promotion
from pipelines.reporting.blocks import Block, Cell, Figure, Fold, Group, Note, Picture, Prose, Section, Table
from pipelines.reporting.figures import Interval, interval_dots
from pipelines.reporting.files import find_promotion
from pipelines.reporting.words import MINUS, count, percent, plural
from pipelines.settings import PromoteParams, Settings

ALL = "all rows"


def promotion(settings: Settings, ds: date) -> Section:
    """What the verdict rests on."""
    found = find_promotion(settings, ds)
    blocks = (
        (Note(f"The chosen model has not been judged yet; `gatehouse promote --ds {ds}` does it."),)
        if found is None
        else tuple(_blocks(found))
    )
    return Section("promotion", "Promotion", blocks)


def _blocks(found: Promotion) -> Iterator[Block]:
    if found.passed:
        yield Prose(f"Nothing speaks against {found.model}; `gatehouse publish` takes it.")
    for reason in found.reasons:
        yield Note(reason, bad=True)
    yield _opponent(found.champion)
    if found.differences:
        yield Prose(
            f"Both are scored on the same rows of {plural(found.users, 'user')}. Intervals are of a "
            f"bootstrap over users, {count(found.bounds.resamples)} draws. That of {found.target} over all "
            f"rows stands by itself; all others hold together in {percent(found.bounds.level, 0)} of all "
            "logs. Only an interval that lies wholly below its bound blocks."
        )
        yield _pictures(found)
        yield _differences(found)
    yield _calibrations(found)
    yield _scores(found)


def _opponent(champion: Champion | None) -> Block:
    if champion is None:
        return Note("There is no champion yet: no other version was published up to this day.")
    name = f"The champion is {champion.tag} of {champion.ds}"
    if champion.metrics is None:
        return Note(f"{name}. It could not be scored: {champion.reason}", bad=True)
    if champion.production:
        return Prose(f"{name}, the version in production.")
    return Prose(f"{name}, the newest version: none that can be compared is in production.")


def _pictures(found: Promotion) -> Figure:
    tasks = dict.fromkeys(own.task for own in found.differences)
    return Figure(
        tuple(
            Picture(
                interval_dots(task, list(_intervals(found.differences, task))),
                f"AUC of {task}, challenger less champion, with intervals, a row a scenario",
            )
            for task in tasks
        ),
        "AUC of the challenger less that of the champion. Dashes mark each row's bound; a diamond blocks. "
        "Scenarios that are compared by log loss are in the table only.",
    )


def _intervals(differences: Sequence[Difference], task: str) -> Iterator[Interval]:
    for own in differences:
        if own.task != task or own.metric != "auc":
            continue
        if (
            own.gain is not None
            and own.low is not None
            and own.high is not None
            and own.tolerance is not None
        ):
            yield Interval(
                own.scenario or ALL, own.gain, own.low, own.high, bound=-own.tolerance, bad=not own.passed
            )


def _differences(found: Promotion) -> Table:
    tasks = dict.fromkeys(own.task for own in found.differences)
    return Table(
        head=("scenario", "users", "champion", "challenger", "gain", "interval", "may lose"),
        groups=tuple(
            Group(task, tuple(_row(own) for own in found.differences if own.task == task)) for task in tasks
        ),
        caption=f"AUC, or log loss where fewer than {found.bounds.min_users} users have a positive, or a "
        "negative. A gain below 0 is a loss. What log loss may rise by is "
        f"{percent(found.bounds.max_log_loss_rise)} of the champion's.",
    )


def _row(own: Difference) -> tuple[Cell, ...]:
    name = own.scenario or ALL
    start = (
        Cell(name if own.metric == "auc" else f"{name}, log loss"),
        Cell(count(own.users)),
    )
    if own.reason is not None:
        return (*start, Cell(f"not judged: {own.reason}", span=5, faint=True))
    return (
        *start,
        Cell(_number(own.champion)),
        Cell(_number(own.challenger)),
        Cell(_signed(own.gain), heat=0.0 if own.passed else 1.0, best=not own.passed),
        Cell(f"{_signed(own.low)} to {_signed(own.high)}"),
        Cell(_number(own.tolerance)),
    )


def _calibrations(found: Promotion) -> Block:
    judged = [own for own in found.calibrations if own.reason is None]
    rows = tuple(
        (
            Cell(own.scenario or ALL),
            Cell(own.task),
            Cell(count(own.positives)),
            Cell("n/a" if own.champion is None else f"{own.champion:.3f}"),
            Cell(_ratio(own.challenger), heat=0.0 if own.passed else 1.0, best=not own.passed),
            Cell(_bounds(own.scenario, found.bounds)),
        )
        for own in judged
    )
    table = Table(
        head=("scenario", "task", "positives", "champion", "challenger", "bounds"),
        groups=(Group("", rows),),
        caption="Predicted over observed positives where at least "
        f"{plural(found.bounds.min_calibration_positives, 'positive')} were observed. Outside the bounds it "
        "blocks, unless the champion is as far outside.",
        text_columns=2,
    )
    wrong = sum(not own.passed for own in judged)
    return Fold(f"Calibration: {wrong} of {plural(len(judged), 'ratio')} outside the bounds", (table,))


def _bounds(scenario: str | None, params: PromoteParams) -> str:
    bound = params.calibration_bound(scenario)
    return f"{1.0 / bound:.3f} to {bound:.3f}"


def _scores(found: Promotion) -> Block:
    rows = tuple(
        (
            Cell(own.task),
            Cell(_number(own.lowest)),
            Cell(_number(own.highest)),
            Cell(percent(own.saturated)),
            Cell("n/a" if own.psi is None else f"{own.psi:.3f}", heat=0.0 if own.passed else 1.0),
        )
        for own in found.scores
    )
    table = Table(
        head=("task", "lowest", "highest", "saturated", "PSI"),
        groups=(Group("", rows),),
        caption=f"At most {percent(found.bounds.max_saturated)} may be 0 or 1 but for rounding. PSI is that "
        f"of the scores against the champion's, at most {found.bounds.max_psi:g}. A list of "
        f"{count(found.bounds.candidates)} candidates is {'scored' if found.quick else 'not scored'} within "
        f"{found.bounds.max_latency_ms:g} ms.",
    )
    wrong = sum(not own.passed for own in found.scores)
    return Fold(f"Scores: {wrong} of {plural(len(found.scores), 'task')} outside the bounds", (table,))


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _ratio(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "n/a" if value is None else f"{value:+.4f}".replace("-", MINUS)
