"""A verdict for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from pipelines.promotion.reasons import METRICS
from pipelines.promotion.verdict import Difference, Promotion

SHOWN = 15


def promotion_table(promotion: Promotion) -> Table:
    """Differences from the champion: all rows first, then the scenarios that are nearest to their bound."""
    champion = promotion.champion.tag if promotion.champion else "no champion"
    outcome = "passed" if promotion.passed else "did not pass"
    title = f"{promotion.model} of {promotion.ds} against {champion}: {outcome}"
    table = Table(title=title)
    if not promotion.differences:
        return table
    for name in ("scenario", "task", "metric"):
        table.add_column(name)
    for name in ("challenger", "gain", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    judged = [own for own in promotion.differences if own.reason is None]
    for own in sorted(judged, key=_margin)[:SHOWN]:
        table.add_row(
            own.scenario or "all",
            own.task,
            METRICS[own.metric],
            _number(own.challenger),
            Text(_number(own.gain, sign="+"), style="" if own.passed else "bold red"),
            f"{_number(own.low, sign='+')} .. {_number(own.high, sign='+')}",
        )
    return table


def _margin(own: Difference) -> tuple[bool, float]:
    """All rows first; then how far the interval's upper end is above what blocks."""
    return own.scenario is not None, (own.high or 0.0) + (own.tolerance or 0.0)


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.4f}"
