"""What a person sees of a stage: progress on a terminal, structured log lines everywhere."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipelines.files import write_whole
from pipelines.settings import Settings

T = TypeVar("T")
console = Console()
_errors = Console(stderr=True)


def configure_logging(log_format: str) -> None:
    """Send structlog to standard error, one line an event, as text or as JSON."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def stage(settings: Settings, name: str, days: object) -> Iterator[dict[str, object]]:
    """Time a stage; log its start and end with the facts put into the yielded dict.

    On a terminal a spinner turns meanwhile. The facts are kept in runs/DATASET/NAME.json.
    """
    facts: dict[str, object] = {}
    log = structlog.get_logger().bind(stage=name, dataset=settings.dataset, days=str(days))
    log.info("started")
    begun = time.monotonic()
    with progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as spinner:
        spinner.add_task(f"{name} {days}", total=None)
        yield facts
    facts["seconds"] = round(time.monotonic() - begun, 2)
    log.info("finished", **facts)
    record = {"stage": name, "days": str(days), **facts}
    write_whole(settings.runs / f"{name}.json", json.dumps(record, default=str, indent=2) + "\n")


def progress(*columns: ProgressColumn) -> Progress:
    """A display of progress on a terminal, which vanishes when it is done; silent elsewhere."""
    return Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar on a terminal, silently elsewhere."""
    with progress(*Progress.get_default_columns()) as bar:
        yield from bar.track(items, total=total, description=description)
