"""Metrics: every model on the test days, over all rows and within each scenario, beside the yardstick."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from pipelines.evaluation import Evaluation
from pipelines.promotion.verdict import Champion
from pipelines.reporting.blocks import Block, Cell, Group, Note, Prose, Section, Table
from pipelines.reporting.files import find_evaluation, find_promotion
from pipelines.reporting.words import count, percent
from pipelines.settings import Settings
from training.evaluation import ModelMetrics, TaskMetrics

TITLE = "Metrics on the test days"


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the table over all rows.

    Attributes:
        value: reads it; None where it is undefined.
        distance: how far a value is from the best one there could be.
    """

    title: str
    value: Callable[[TaskMetrics], float | None]
    distance: Callable[[float], float]
    digits: int = 4


MEASURES = (
    Measure("AUC", lambda own: own.auc, lambda value: 1.0 - value),
    Measure("GAUC", lambda own: own.gauc, lambda value: 1.0 - value),
    Measure("log loss", lambda own: own.log_loss, lambda value: value),
    Measure("calibration", lambda own: own.calibration, lambda value: abs(value - 1.0), digits=3),
    Measure("calibration error", lambda own: own.calibration_error, lambda value: value),
)


def metrics(settings: Settings, ds: date) -> Section:
    """What evaluation measured."""
    evaluation = find_evaluation(settings, ds)
    if evaluation is None:
        note = Note(f"The models have not been evaluated yet; `gatehouse evaluate --ds {ds}` does it.")
        return Section("metrics", TITLE, (note,))
    promotion = find_promotion(settings, ds)
    champion = promotion.champion if promotion else None
    return Section("metrics", TITLE, tuple(_blocks(evaluation, settings.params.publish.model, champion)))


def _blocks(evaluation: Evaluation, chosen: str, champion: Champion | None) -> Iterator[Block]:
    models = dict(evaluation.models)
    yield Prose(
        "All models are scored on the same rows, which neither training nor the choice of the epoch saw. "
        f"{chosen} is to be published; lightgbm is the yardstick, boosted trees on the "
        "same columns."
    )
    if champion is not None and champion.metrics is not None:
        models[champion.tag] = champion.metrics
        yield Prose(f"{champion.tag} is the champion; the next section compares it with {chosen}.")
    yield Table(
        head=("model", *(measure.title for measure in MEASURES), "AUC, mean of scenarios"),
        groups=tuple(_overall(task, models) for task in evaluation.tasks),
        caption="Bold is best of its column. AUC and GAUC: higher is better; GAUC is the mean AUC within a "
        "user's day. Log loss is in nats. Calibration is predicted over actual positives, best at 1; its "
        "error is the mean gap over ten bins.",
    )
    yield Table(
        head=("scenario", "rows", "positives", *models),
        groups=tuple(_scenarios(task, models) for task in evaluation.tasks),
        caption="AUC within each scenario, largest scenario first; the deeper the tint, the further "
        "above 0.5. Bold is best of its row. A scenario with too few positives or negatives has none.",
    )


def _overall(task: str, models: Mapping[str, ModelMetrics]) -> Group:
    own = next(iter(models.values())).overall[task]
    share = own.positives / own.rows if own.rows else None
    remarks = [f"{count(own.rows)} rows, {percent(share)} positive"]
    if own.constant_log_loss is not None:
        remarks.append(f"log loss of a constant {own.constant_log_loss:.4f}")
    if own.reason is not None:
        remarks.append(f"no AUC: {own.reason}")
    columns = [_column([model.overall[task] for model in models.values()], measure) for measure in MEASURES]
    macro = [model.macro_auc[task] for model in models.values()]
    columns.append(_numbers(macro, lambda value: 1.0 - value, digits=4))
    rows = tuple((Cell(name), *cells) for name, *cells in zip(models, *columns, strict=True))
    return Group(task, rows, note="; ".join(remarks))


def _column(values: list[TaskMetrics], measure: Measure) -> list[Cell]:
    return _numbers([measure.value(value) for value in values], measure.distance, measure.digits)


def _numbers(values: list[float | None], distance: Callable[[float], float], digits: int) -> list[Cell]:
    """Cells of comparable values; the best of several is marked, ties all."""
    known = [distance(value) for value in values if value is not None]
    return [
        Cell("n/a", faint=True)
        if value is None
        else Cell(f"{value:.{digits}f}", best=len(known) > 1 and distance(value) == min(known))
        for value in values
    ]


def _scenarios(task: str, models: Mapping[str, ModelMetrics]) -> Group:
    rows = []
    for scenario, by_task in next(iter(models.values())).scenarios.items():
        own = by_task[task]
        areas = [model.scenarios[scenario][task].auc for model in models.values()]
        cells = _numbers(areas, lambda value: 1.0 - value, 3)
        tinted = [_tinted(cell, area) for cell, area in zip(cells, areas, strict=True)]
        if own.reason is not None:
            tinted = [Cell(f"n/a: {own.reason}", span=len(models), faint=True)]
        rows.append((Cell(scenario), Cell(count(own.rows)), Cell(count(own.positives)), *tinted))
    return Group(task, tuple(rows))


def _tinted(cell: Cell, area: float | None) -> Cell:
    weight = 0.0 if area is None else max(0.0, 2.0 * area - 1.0)
    return Cell(cell.text, weight=weight, best=cell.best, faint=cell.faint)
