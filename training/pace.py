"""How fast a run trains."""

from __future__ import annotations

import time
from collections.abc import Callable

from training.watching import Unwatched


class Pace(Unwatched):
    """Counts the rows of all epochs and the seconds spent on them; validation is not counted.

    Rows that a checkpoint had behind it are not either: the loop names them before an epoch's first step.

    Args:
        clock: seconds since whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._rows = 0
        self._seconds = 0.0
        self._since: float | None = None

    @property
    def rows_per_second(self) -> float | None:
        """None when nothing was trained: the run went on from the checkpoint of a finished one."""
        return self._rows / self._seconds if self._seconds else None

    def epoch_started(self, epoch: int, epochs: int, rows: int) -> None:
        self._since = None

    def advanced(self, rows: int) -> None:
        now = self._clock()
        if self._since is not None:
            self._rows += rows
            self._seconds += now - self._since
        self._since = now
