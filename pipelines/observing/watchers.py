"""Who watches a stage: its metrics and its lineage. Neither may end it, nor hold it up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

import structlog

from pipelines.lineage.events import State, event
from pipelines.lineage.of_stage import Moved, moved
from pipelines.lineage.outbox import Outbox
from pipelines.observing.books import keeping_books
from pipelines.observing.metrics import count_failure, write_success
from pipelines.observing.run import StageRun
from pipelines.settings import Settings

NOTHING = Moved((), ())


class Observed:
    """Keeps the books of a run, and tells its metrics and its lineage how it went."""

    def __init__(self, settings: Settings, run: StageRun) -> None:
        self._settings = settings
        self._run = run
        self._outbox = Outbox(settings, run.days)
        self._keeping = keeping_books()

    def __enter__(self) -> Observed:
        self._books = self._keeping.__enter__()
        self._try(self._send, State.START, NOTHING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeping.__exit__(None, None, None)
        self._outbox.wait()

    def succeeded(self, facts: Mapping[str, object]) -> None:
        self._try(self._succeeded, facts)

    def failed(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._try(count_failure, self._settings, self._run, error)
        self._try(self._failed, error)

    def _succeeded(self, facts: Mapping[str, object]) -> None:
        parts = moved(self._settings, self._run, self._books, finished=True)
        self._try(write_success, self._settings, self._run, facts, parts.writes)
        self._send(State.COMPLETE, parts)

    def _failed(self, error: BaseException) -> None:
        state = State.FAIL if isinstance(error, Exception) else State.ABORT
        self._send(state, moved(self._settings, self._run, self._books, finished=False), error)

    def _send(self, state: State, parts: Moved, error: BaseException | None = None) -> None:
        if self._outbox.is_open:
            verdicts = self._books.verdicts
            self._outbox.put(event(self._settings, self._run, state, parts, verdicts, error))

    def _try(self, tell: Callable[..., None], *arguments: object) -> None:
        """Do without what cannot be told: a full disk, a lock that somebody holds."""
        try:
            tell(*arguments)
        except Exception as error:
            told = tell.__name__.strip("_").replace("_", " ")
            structlog.get_logger().warning(
                "not observed", told=told, error=f"{type(error).__name__}: {error}"
            )
