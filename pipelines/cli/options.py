"""Arguments that several commands share, and the days they mean."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from pipelines.days import Days
from pipelines.settings import Settings

DsOption = Annotated[
    str | None,
    typer.Option("--ds", metavar="YYYY-MM-DD", help="A single UTC day; by default all days of params.yaml."),
]
StartOption = Annotated[
    str | None, typer.Option("--start", metavar="YYYY-MM-DD", help="First UTC day of a range.")
]
EndOption = Annotated[
    str | None, typer.Option("--end", metavar="YYYY-MM-DD", help="Last UTC day of a range, included.")
]
LastDsOption = Annotated[
    str | None,
    typer.Option(
        "--ds", metavar="YYYY-MM-DD", help="Last UTC day of the run; by default the last day of params.yaml."
    ),
]


def day(text: str) -> date:
    """A UTC day as it is written on the command line."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; write it as 2022-05-01") from None


def days_between(settings: Settings, ds: str | None, start: str | None, end: str | None) -> Days:
    """The days of a stage: one, or a range whose open ends are those of params.yaml."""
    if ds is not None and (start is not None or end is not None):
        raise typer.BadParameter("give --ds or a range with --start and --end, not both")
    if ds is not None:
        return Days.one(day(ds))
    whole = settings.dataset_params.days
    first = whole.start if start is None else day(start)
    last = whole.end if end is None else day(end)
    if first > last:
        raise typer.BadParameter(f"--start {first} is after --end {last}")
    return Days(start=first, end=last)


def last_day(settings: Settings, ds: str | None) -> date:
    """The last day of a run: `ds`, or the last one of params.yaml."""
    return settings.dataset_params.days.end if ds is None else day(ds)
