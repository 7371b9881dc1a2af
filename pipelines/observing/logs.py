"""Logs: one line an event on standard error, as text or as JSON, whoever wrote it.

Lines of the libraries come through the standard `logging` and `warnings` modules and get the same
form. Spark's own come from the JVM, which formats them by itself: see log4j2-json.properties.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TypeAlias

import structlog
from rich.console import Console
from rich.text import Text
from structlog.typing import EventDict, Processor, WrappedLogger

Fields: TypeAlias = Mapping[str, str]

# Of the process, not of a context: worker threads of a stage and of its libraries log as well.
_fields: dict[str, str] = {}
_UNSEEN_IN_TEXT = ("code", "run", "logger")


def _with_fields(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {**_fields, **event}


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    _with_fields,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure_logging(log_format: str) -> None:
    """Send everything that is logged to standard error; `log_format` is "text" or "json".

    With "json", an error that ends the process is a line too, its traceback a field of it.
    """
    last: tuple[Processor, ...] = (
        (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str))
        if log_format == "json"
        else (_short, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0))
    )
    structlog.configure(
        processors=[*_SHARED, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    if log_format == "json":
        sys.excepthook = _log_crash


@contextmanager
def log_fields(fields: Fields) -> Iterator[None]:
    """Let every line that the process logs carry `fields`.

    They stay after an error, so that the lines that end the process carry them too.
    """
    _fields.clear()
    _fields.update(fields)
    yield
    _fields.clear()


def current_fields() -> Fields:
    """What lines carry now, for a child process that logs in its own way."""
    return dict(_fields)


def log_error(error: Exception, text: str, log_format: str) -> None:
    """Say in one readable line why the command ends: `text`, of that error."""
    name = type(error).__name__
    said = " / ".join(text.splitlines())
    said = said.encode(errors="backslashreplace").decode()  # an argument may be bytes that are no text
    if log_format == "json":
        structlog.get_logger().error(said, error=name)
    else:
        line = Text.assemble(("error:", "bold red"), f" {name}: {said}")
        Console(stderr=True).print(line, soft_wrap=True)


def _short(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop what tells one process from another: on a terminal there is one."""
    return {name: value for name, value in event.items() if name not in _UNSEEN_IN_TEXT}


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger().critical(str(error), error=kind.__name__, exc_info=(kind, error, trace))
