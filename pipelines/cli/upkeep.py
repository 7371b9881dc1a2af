"""What keeps a road that runs every day in order."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from pipelines.settings import Settings

PANEL = "Keep it running"
upkeep = typer.Typer()
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON, for a scheduler.")]


@upkeep.command(rich_help_panel=PANEL)
def late(as_json: JsonOption = False) -> None:
    """Say which ingested days the raw log holds other rows of by now: late, corrected or removed ones."""
    from pipelines.late import find_late

    found = find_late(Settings())
    if as_json:
        sys.stdout.write(found.model_dump_json() + "\n")
    elif found.days:
        days = ", ".join(map(str, found.days))
        Console().print(f"changed since they were ingested: {days}. Run {found.since}..{found.until} again")
    else:
        Console().print("every ingested day is as the raw log has it")


@upkeep.command(rich_help_panel=PANEL)
def behind(as_json: JsonOption = False) -> None:
    """Say which days have features but no model yet, and whether the newest one should be trained on."""
    from pipelines.behind import behind

    found = behind(Settings())
    sys.stdout.write((found.model_dump_json() if as_json else str(found)) + "\n")


@upkeep.command(rich_help_panel=PANEL)
def housekeeping(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
) -> None:
    """Remove what params.yaml's retention lets go and nothing needs: old partitions, models, logs."""
    from pipelines.housekeeping.sweep import housekeeping

    housekeeping(Settings(), dry_run=dry_run)
