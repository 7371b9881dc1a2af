"""The request log: a sample of what was asked of the online store and of what it answered, a line each.

A line is written whole and at once, so a killed process loses nothing but the line it was writing. It is
JSON, because a line stands for itself: one that was cut off spoils no other, and a person can read it. A
float32 is written as the float64 it equals, which gives the same float32 back.
"""

from __future__ import annotations

import json
import os
import random
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import structlog

from features.serving.batch import FeatureBatch
from features.stores.packed.unpack import Column

Rows: TypeAlias = npt.NDArray[np.intp]

ROWS_A_REQUEST = 16
"""Rows of a request that are logged, picked at random: a thousand items say little more than some of them."""
ROWS_A_DAY = 100_000
"""Rows that one process logs in a day: some 300 MB of a service with 140 features."""


class RequestLog:
    """Appends a sample of answered requests to files of its own, one a process and UTC day.

    A line goes to `folder`/ds=D/PROCESS.jsonl, D being the day of the request by the wall clock. Safe to
    share between threads; a forked process begins a file of its own. A disk that takes no more lines costs
    lines, never an answer.

    Args:
        folder: where the days' folders are.
        share: of requests that are noted, 0 to 1.
        seed: makes the sample repeatable.
        rows_a_day: rows that are written in a day, at most.
        clock: the wall clock, UTC.
    """

    def __init__(
        self,
        folder: Path,
        share: float,
        seed: int | None = None,
        *,
        rows_a_day: int = ROWS_A_DAY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._share = share
        self._random = random.Random(seed)  # noqa: S311 -- a sample, not a secret
        self._most = rows_a_day
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: tuple[int, date] | None = None
        self._file: int | None = None
        self._rows = 0
        self._said: set[str] = set()

    def note(self, service: str, batch: FeatureBatch) -> None:
        """Log `batch`, which answered a request to the feature service `service`, or leave it out."""
        if self._random.random() >= self._share:
            return
        asked = self._clock()
        with self._lock:
            self._turn_to(asked.date())
            if self._rows >= self._most:
                self._say_once("the request log is full for the day; lower its share", rows=self._rows)
                return
            rows = self._pick(batch.size)
            try:
                self._append(json.dumps(line_of(asked, service, batch, rows)).encode() + b"\n")
            except OSError as error:
                self._say_once("requests cannot be logged; answers are not affected", error=str(error))
            else:
                self._rows += max(len(rows), 1)  # an outage must not fill the disk either

    def _turn_to(self, day: date) -> None:
        """Begin anew when the day, or the process, is another."""
        own = (os.getpid(), day)
        if own != self._opened:
            self._close()
            self._opened, self._rows = own, 0
            self._said.clear()

    def _pick(self, size: int) -> Rows:
        """The rows of a request of `size` rows to log, ascending."""
        if size <= ROWS_A_REQUEST:
            return np.arange(size)
        return np.array(sorted(self._random.sample(range(size), ROWS_A_REQUEST)), np.intp)

    def _append(self, line: bytes) -> None:
        """Write `line` by one call.

        Raises:
            OSError: the disk did not take it whole; the next one goes to a new file.
        """
        if self._file is None:
            self._file = self._open()
        written = os.write(self._file, line)
        if written < len(line):
            self._close()
            raise OSError(f"only {written} of a line's {len(line)} bytes could be written")

    def _open(self) -> int:
        _, day = self._opened or (0, None)
        folder = self._folder / f"ds={day}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _say_once(self, event: str, **facts: object) -> None:
        """Log `event`, once a day."""
        if event not in self._said:
            self._said.add(event)
            structlog.get_logger().warning(event, folder=str(self._folder), **facts)


def line_of(asked: datetime, service: str, batch: FeatureBatch, rows: Rows) -> dict[str, Any]:
    """What a line of the log holds of `rows` of a request; see features.serving.answered for its fields.

    Of a degraded answer only that it was one: its values are declared defaults.
    """
    line: dict[str, Any] = {
        "asked": asked.isoformat(),
        "service": service,
        "instant": batch.instant.isoformat(),
        "size": batch.size,
        "degraded": batch.degraded,
    }
    if batch.served is None:
        return line
    views = dict.fromkeys(view for view, _ in batch.outputs.values())
    return line | {
        "served": batch.served.record(),
        "ids": {name: _values(column, rows) for name, column in batch.ids.items()},
        "features": {name: _values(batch.columns[name], rows) for name in batch.outputs},
        "stale": {view: stale for view in views if (stale := _stale(batch, view, rows))},
    }


def _values(column: Column, rows: Rows) -> list[Any]:
    """The values of `rows`, None where there is none."""
    if isinstance(column, np.ndarray):
        return [None if value != value else value for value in column[rows].tolist()]
    values: list[Any] = column.take(rows).to_pylist()
    return values


def _stale(batch: FeatureBatch, view: str, rows: Rows) -> list[int]:
    """Which of `rows`, by their place among them, were emptied because they were too old."""
    stale, index = batch.views[view].stale, batch.views[view].index
    if not stale.any():
        return []
    places = rows if index is None else index[rows]
    return [place for place, row in enumerate(places) if row >= 0 and stale[row]]
