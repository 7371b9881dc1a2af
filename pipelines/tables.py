"""Tables of an evaluation for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from pipelines.evaluation import Evaluation
from training.evaluation import ModelMetrics

MISSING = "-"
TOP_SCENARIOS = 12


def metrics_table(evaluation: Evaluation, beside: Mapping[str, ModelMetrics] | None = None) -> Table:
    """Models x tasks on the test rows: AUC, macro AUC over scenarios, GAUC, log loss, calibration.

    Args:
        evaluation: whose models are shown.
        beside: others on the same rows, by name; they are never marked as best.
    """
    first, last = evaluation.days["test"]
    table = Table(title=f"{evaluation.dataset}, {evaluation.rows['test']:,} test rows of {first} .. {last}")
    table.add_column("model")
    table.add_column("task")
    for name in ("AUC", "AUC by scenario", "GAUC", "log loss", "calibration"):
        table.add_column(name, justify="right")
    best = {task: _best(evaluation.models.values(), task) for task in evaluation.tasks}
    for model, metrics in (evaluation.models | dict(beside or {})).items():
        for task in evaluation.tasks:
            own = metrics.overall[task]
            style = "bold green" if own.auc is not None and own.auc == best[task] else ""
            table.add_row(
                model if task == evaluation.tasks[0] else "",
                task,
                Text(_number(own.auc), style=style),
                _number(metrics.macro_auc[task]),
                _number(own.gauc),
                _number(own.log_loss),
                _number(own.calibration, digits=3),
            )
        table.add_section()
    return table


def scenario_table(evaluation: Evaluation) -> Table:
    """AUC of the first task by scenario, the scenarios with most test rows first."""
    task = evaluation.tasks[0]
    table = Table(title=f"AUC of {task} by scenario")
    table.add_column("scenario")
    table.add_column("rows", justify="right")
    for model in evaluation.models:
        table.add_column(model, justify="right")
    any_model = next(iter(evaluation.models.values()))
    for scenario in list(any_model.scenarios)[:TOP_SCENARIOS]:
        areas = {model: metrics.scenarios[scenario][task] for model, metrics in evaluation.models.items()}
        known = [own.auc for own in areas.values() if own.auc is not None]
        cells = [
            Text(_number(own.auc), style="bold green" if known and own.auc == max(known) else "")
            for own in areas.values()
        ]
        table.add_row(scenario, f"{any_model.scenarios[scenario][task].rows:,}", *cells)
    return table


def _best(models: Iterable[ModelMetrics], task: str) -> float | None:
    known = [auc for metrics in models if (auc := metrics.overall[task].auc) is not None]
    return max(known, default=None)


def _number(value: float | None, digits: int = 4) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"
