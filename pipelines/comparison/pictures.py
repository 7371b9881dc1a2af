"""Pictures of a comparison: differences with their intervals, and the models in each scenario."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from training.comparison.results import BASES, Comparison, TaskResult

_COLORS = dict(zip(BASES, ("#1b62c4", "#1a7f37", "#c2570c"), strict=True))
_INK, _MUTED, _RULE, _NETWORK = "#1f2328", "#59636e", "#d1d9e0", "#59636e"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: no outlines of letters in the file
    "svg.hashsalt": "gatehouse",
    "font.size": 9.0,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.7,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
}
_ROW, _MARGIN = 0.26, 1.0  # inches a model, and above and below all of them
_PANEL = 2.9  # inches
_SCENARIOS = 4
"""Scenarios shown, the largest; the others are in the results file."""


def differences_picture(comparison: Comparison) -> str:
    """A panel a task: each model's AUC less that of the bases, with the intervals, as SVG."""
    names = by_auc(comparison, comparison.tasks[0])
    with _panels(names, len(comparison.tasks)) as (figure, panels):
        for axes, task in zip(panels, comparison.tasks, strict=True):
            axes.axvline(0.0, color=_MUTED, linewidth=0.9)
            for base, shift, marker in zip(BASES, (-0.24, 0.0, 0.24), "oDs", strict=True):
                found = [
                    (place + shift, difference)
                    for place, name in enumerate(names)
                    if (difference := comparison.contenders[name].against.get(base, {}).get(task))
                ]
                places = [place for place, _ in found]
                bounds = [own.low for _, own in found], [own.high for _, own in found]
                axes.hlines(places, *bounds, color=_COLORS[base], linewidth=1.2)
                axes.plot(
                    [own.difference for _, own in found], places,
                    marker, markersize=3.2, color=_COLORS[base], label=f"less {base}",
                )  # fmt: skip
            axes.set_title(task)
            axes.set_xlabel("difference in AUC")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(BASES))
        return _svg(figure)


def scenarios_picture(comparison: Comparison, task: str) -> str:
    """A panel for all rows and one for each large scenario: every model's AUC of a task, as SVG.

    The bars are one standard deviation over the seeds to either side; the dashed line is the best that can be
    reached, where it is known.
    """
    names = by_auc(comparison, task)
    first = comparison.contenders[names[0]]
    shown = [name for name, own in first.scenarios.items() if own[task].auc is not None][:_SCENARIOS]
    limits = comparison.limits or {}
    with _panels(names, 1 + len(shown), wide=2.0) as (figure, panels):
        results = {name: comparison.contenders[name].overall[task] for name in names}
        _dots(panels[0], results, f"all, {first.overall[task].rows:,} rows")
        for axes, scenario in zip(panels[1:], shown, strict=True):
            results = {name: comparison.contenders[name].scenarios[scenario][task] for name in names}
            _dots(axes, results, f"{scenario}, {first.scenarios[scenario][task].rows:,} rows")
            limit = limits.get(scenario, {}).get(task)
            if limit is not None:
                axes.axvline(limit, color=_INK, linewidth=1.0, linestyle=(0, (4, 2)))
        return _svg(figure)


def by_auc(comparison: Comparison, task: str) -> list[str]:
    """Names of the contenders, the highest AUC of a task first."""

    def area(name: str) -> float:
        found = comparison.contenders[name].overall[task].auc
        return -1.0 if found is None else found.mean

    return sorted(comparison.contenders, key=area, reverse=True)


def short(value: float, *, signed: bool = False, digits: int = 4) -> str:
    """A number below 1 without its leading zero: .7394, +.0012."""
    return re.sub(r"^([+-]?)0\.", r"\1.", f"{value:{'+' if signed else ''}.{digits}f}")


def _tick(value: float) -> str:
    """With as many digits as the ticks differ in: .7375, -.002, 0."""
    return short(round(value, 4)).rstrip("0").rstrip(".") or "0"


def _dots(axes: Axes, results: Mapping[str, TaskResult], title: str) -> None:
    for color in (_NETWORK, *_COLORS.values()):
        dots = [
            (place, own.auc.mean, own.auc.sd or 0.0)
            for place, (name, own) in enumerate(results.items())
            if own.auc is not None and _COLORS.get(name, _NETWORK) == color
        ]
        places = [place for place, _, _ in dots]
        bounds = [mean - sd for _, mean, sd in dots], [mean + sd for _, mean, sd in dots]
        axes.hlines(places, *bounds, color=color, linewidth=1.2)
        axes.plot([mean for _, mean, _ in dots], places, "o", markersize=3.8, color=color)
    if (base := results[BASES[0]].auc) is not None:
        axes.axvline(base.mean, color=_COLORS[BASES[0]], linewidth=0.7, alpha=0.5)
    axes.set_title(title)
    axes.set_xlabel("AUC")


@contextmanager
def _panels(names: Sequence[str], panels: int, wide: float = _PANEL) -> Iterator[tuple[Figure, list[Axes]]]:
    """Panels side by side that share their rows, one a model from the top."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.2 + wide * panels, _MARGIN + _ROW * len(names)), layout="constrained")
        axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.4, -0.6)
        for panel in axes:
            panel.xaxis.set_major_locator(MaxNLocator(4 if wide == _PANEL else 3))
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
            panel.grid(axis="both")
        yield figure, list(axes)


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
