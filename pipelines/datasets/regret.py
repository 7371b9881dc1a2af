"""How far models stay below the best reachable AUC of the simulated log, per scenario and task.

`python -m pipelines.datasets.regret` prints it of the run that params.yaml names, once it is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypeAlias

from numpy.typing import NDArray
from rich.table import Table

from pipelines.datasets.truth import OVERALL, TrueRows, true_rows
from pipelines.evaluation import Evaluation
from pipelines.observing.console import console
from pipelines.settings import Settings
from training.areas import expected_auc
from training.evaluation import ModelMetrics
from training.metrics import auc

Areas: TypeAlias = dict[str, dict[str, float]]
"""Scenario, or `OVERALL`, to task to an AUC or a difference of two; a task without one is left out."""


def limits(settings: Settings, ds: date) -> Areas:
    """The AUC of the true probabilities on the test rows of the run that ends on `ds`.

    The labels are drawn with these probabilities, each by itself, so no score that does not know the
    labels ranks them better, but for luck; and the luck is mostly shared by a model on the same rows.

    Raises:
        MissingPartitionError: see `true_rows`.
    """
    return _areas(true_rows(settings, ds), auc)


def expected_limits(settings: Settings, ds: date) -> Areas:
    """The limit over all labels that could have been drawn, not those that were; see `expected_auc`.

    Raises:
        MissingPartitionError: see `true_rows`.
    """
    return _areas(true_rows(settings, ds), lambda _, probabilities: expected_auc(probabilities))


def regret(settings: Settings, ds: date) -> dict[str, Areas]:
    """By model, how far its AUC is below the limit: what a perfect model of the same rows would gain.

    Raises:
        MissingPartitionError: the run was not evaluated, or see `true_rows`.
    """
    best = limits(settings, ds)
    evaluation = Evaluation.load(settings.evaluation / f"ds={ds}.json")
    return {model: _below(best, metrics) for model, metrics in evaluation.models.items()}


def regret_table(settings: Settings, ds: date) -> Table:
    """Scenarios x tasks: rows, the limit as drawn and as expected, and every model's regret."""
    rows = true_rows(settings, ds)
    sizes = {scenario: len(part) for scenario, part in rows.parts()}
    best, expected, models = limits(settings, ds), expected_limits(settings, ds), regret(settings, ds)
    table = Table(title=f"{settings.dataset}, ds={ds}: best reachable AUC, and how far models are below it")
    for name in ("scenario", "task", "rows", "limit", "expected", *models):
        table.add_column(name, justify="left" if name in ("scenario", "task") else "right")
    for task in rows.tasks:
        for scenario, size in sizes.items():
            areas = (best, expected, *models.values())
            cells = [_number(own.get(scenario, {}).get(task)) for own in areas]
            table.add_row(scenario or "all", task, f"{size:,}", *cells)
        table.add_section()
    return table


def _areas(rows: TrueRows, area: Callable[[NDArray[Any], NDArray[Any]], float | None]) -> Areas:
    """`area` of labels and true probabilities, on all rows and in each scenario."""
    return {
        scenario: {
            task: found
            for position, task in enumerate(rows.tasks)
            if (found := area(rows.labels[part, position], rows.probabilities[part, position])) is not None
        }
        for scenario, part in rows.parts()
    }


def _below(best: Areas, metrics: ModelMetrics) -> Areas:
    own = {OVERALL: metrics.overall, **metrics.scenarios}
    return {
        scenario: {
            task: limit - area
            for task, limit in tasks.items()
            if scenario in own and (area := own[scenario][task].auc) is not None
        }
        for scenario, tasks in best.items()
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    chosen = Settings()
    console.print(regret_table(chosen, chosen.dataset_params.days.end))
