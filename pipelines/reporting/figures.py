"""Pictures as inline SVG whose colours are the page's, so that they follow it into dark mode."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# Matplotlib wants colours, the page has CSS variables: each of these stands for one while it is drawn.
_INK, _MUTED, _RULE = "#010203", "#020304", "#030405"
SERIES = tuple(f"#0a0b{number:02x}" for number in range(1, 7))
_VARIABLES = {_INK: "ink", _MUTED: "muted", _RULE: "rule"} | {
    color: f"series-{number}" for number, color in enumerate(SERIES, start=1)
}
_DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "-", (0, (5, 2)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)),
)  # fmt: skip
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the page's own type
    "font.size": 10.0,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": _INK,
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.8,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.labelcolor": _MUTED,
}
_DATES = ["%Y", "%b", "%-d %b", "%H:%M", "%H:%M", "%S"]
_WIDE, _NARROW = (7.6, 2.7), (3.6, 2.15)  # inches; a narrow picture is readable on a phone
_LEGEND_ROW, _LEGEND_COLUMNS = 0.21, 2  # inches a row
_INTERVAL_ROW, _INTERVAL_MARGIN = 0.24, 0.75  # inches


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart.

    Attributes:
        y: its values at x = 1, 2, ...; None leaves a gap.
        marked: the x of the point to mark, if there is one.
    """

    label: str
    y: tuple[float | None, ...]
    marked: int | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A row of a picture of intervals.

    Attributes:
        bound: an interval that lies wholly below it is bad.
    """

    label: str
    value: float
    low: float
    high: float
    bound: float
    bad: bool


def daily_bars(days: Sequence[date], parts: Mapping[str, Sequence[int]]) -> Markup:
    """Stacked bars, one a day; the parts from bottom to top, in the colours of the series."""
    with _drawing(_WIDE) as (figure, axes):
        places = [date2num(day) for day in days]  # type: ignore[no-untyped-call]
        base = [0.0] * len(days)
        for (label, values), color in zip(parts.items(), SERIES, strict=False):
            axes.bar(places, values, bottom=base, width=0.8, color=color, linewidth=0.0, label=label)
            base = [low + value for low, value in zip(base, values, strict=True)]
        locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        dates = ConciseDateFormatter(  # type: ignore[no-untyped-call]
            locator, formats=_DATES, zero_formats=["", "%Y", *_DATES[2:]], show_offset=False
        )
        axes.xaxis.set_major_formatter(dates)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.margins(x=0.01)
        axes.set_ylim(0.0, 1.08 * max([1.0, *base]))
        axes.grid(axis="y")
        _legend_above(axes, columns=len(parts))
        return _svg(figure)


def epoch_lines(title: str, lines: Sequence[Line]) -> Markup:
    """Lines over epochs; color and dashes tell them apart, and a ring marks a point."""
    legend_rows = ceil(len(lines) / _LEGEND_COLUMNS)
    width, height = _NARROW
    with _drawing((width, height + _LEGEND_ROW * legend_rows)) as (figure, axes):
        for position, line in enumerate(lines):
            color = SERIES[position % len(SERIES)]
            # One further at each round of the colours, so that no two lines are alike.
            dashes = _DASHES[(position + position // len(SERIES)) % len(_DASHES)]
            epochs = range(1, len(line.y) + 1)
            values = [float("nan") if value is None else value for value in line.y]
            dot = "o" if len(values) == 1 else None
            axes.plot(
                epochs, values, color=color, linestyle=dashes, linewidth=1.7, label=line.label, marker=dot
            )
            if line.marked is not None:
                axes.plot(
                    line.marked, values[line.marked - 1],
                    marker="o", markersize=7, markerfacecolor="none", markeredgewidth=1.6, color=color,
                )  # fmt: skip
        axes.set_title(title, pad=10.0 + 72.0 * _LEGEND_ROW * legend_rows)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("epoch")
        axes.margins(x=0.04, y=0.12)
        axes.grid(axis="y")
        _legend_above(axes, columns=_LEGEND_COLUMNS)
        return _svg(figure)


def interval_dots(title: str, intervals: Sequence[Interval]) -> Markup:
    """A dot and its interval a row, from the top; what is bad has another colour and another mark."""
    width, height = _NARROW[0], _INTERVAL_MARGIN + _INTERVAL_ROW * len(intervals)
    with _drawing((width, height)) as (figure, axes):
        axes.axvline(0.0, color=_MUTED, linewidth=0.9)
        for place, own in enumerate(intervals):
            color, mark = (SERIES[1], "D") if own.bad else (SERIES[0], "o")
            axes.vlines(
                own.bound, place - 0.4, place + 0.4, color=_MUTED, linewidth=0.9, linestyle=(0, (2, 2))
            )
            axes.hlines(place, own.low, own.high, color=color, linewidth=1.7)
            axes.plot(own.value, place, mark, markersize=4.5, color=color)
        axes.set_yticks(range(len(intervals)), [own.label for own in intervals])
        axes.set_ylim(len(intervals) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(title)
        axes.grid(axis="x")
        return _svg(figure)


@contextmanager
def _drawing(size: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.subplots()


def _legend_above(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns,
        borderaxespad=0.1, borderpad=0.2, handlelength=1.8, columnspacing=1.4,
    )  # fmt: skip


def _svg(figure: Figure) -> Markup:
    """The drawing without anything that changes from run to run, or that the page decides."""
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "gatehouse"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'font-family: [^;"]*; ?', "", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var(--{variable})")
    # Several drawings share a page, whose ids must differ.
    prefix = "f" + hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", text)
    return Markup(text)  # noqa: S704 -- Matplotlib escapes the labels
