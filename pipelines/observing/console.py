"""What is seen of a stage: progress on a terminal, log lines everywhere, and who else watches."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import TypeVar

import structlog
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipelines.days import Days
from pipelines.files import write_whole
from pipelines.observing.logs import log_fields
from pipelines.observing.run import StageRun
from pipelines.settings import Settings

T = TypeVar("T")
PIPE_WIDTH = 160  # characters; a pipe has no width, and rich would cut every table to 80


def _console() -> Console:
    """A console as wide as the terminal or as $COLUMNS says, and wide enough for our tables elsewhere."""
    found = Console()
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = PIPE_WIDTH
    return found


console = _console()
_errors = Console(stderr=True)


@contextmanager
def stage(settings: Settings, name: str, days: Days | date, model: str = "") -> Iterator[dict[str, object]]:
    """Time a stage; log its start and end with the facts put into the yielded dict.

    On a terminal a spinner turns meanwhile. The facts are kept in runs/DATASET/NAME.json, its metrics
    in runs/metrics, and what it read and wrote in runs/DATASET/lineage. See docs/observability.md.

    Args:
        settings: of the home.
        name: of the stage.
        days: it works on, UTC.
        model: of a stage that runs once per model.
    """
    from pipelines.observing.watchers import Observed  # commands that are no stage start without it

    run = StageRun.of(settings.dataset, name, days, model)
    facts: dict[str, object] = {}
    log = structlog.get_logger()
    with log_fields(run.fields), Observed(settings, run) as observed:
        log.info("started")
        begun = time.monotonic()
        try:
            with progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as spinner:
                spinner.add_task(" ".join(filter(None, (name, model, str(days)))), total=None)
                yield facts
        except BaseException as error:
            log.error("failed", error=type(error).__name__, seconds=round(time.monotonic() - begun, 2))
            observed.failed(error)
            raise
        facts["seconds"] = round(time.monotonic() - begun, 2)
        log.info("finished", **{name: value for name, value in facts.items() if name not in run.fields})
        record = {"stage": run.name, "days": str(days), **facts}
        write_whole(settings.runs / f"{run.name}.json", json.dumps(record, default=str, indent=2) + "\n")
        observed.succeeded(facts)


def progress(*columns: ProgressColumn) -> Progress:
    """A display of progress on a terminal, which vanishes when it is done; silent elsewhere."""
    return Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar on a terminal, silently elsewhere."""
    with progress(*Progress.get_default_columns()) as bar:
        yield from bar.track(items, total=total, description=description)
