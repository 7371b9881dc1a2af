"""Workers: processes of one thread each that do units and store them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from training.comparison.contenders import Task
from training.comparison.units import Outcome, Store, Unit
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.errors import DivergedError


@dataclass(frozen=True, slots=True)
class Place:
    """Where the units' data and results lie, and what all share: plain values, to be sent to a process.

    Attributes:
        encoded: folder of the training set's encoded arrays.
        data: their fingerprint.
        store: folder of the outcomes.
        config: hyperparameters that nobody tunes, and the committed values of the others.
        device: "auto", "cpu" or "cuda".
    """

    encoded: Path
    data: str
    store: Path
    config: TrainConfig
    device: str

    def open(self) -> tuple[Task, Store]:
        """The task and the store at this place."""
        task = Task(_arrays(self.encoded, self.data), self.config, self.device)
        return task, Store(self.store, task)


@lru_cache(maxsize=1)
def _arrays(folder: Path, data: str) -> EncodedArrays:
    """The arrays, opened once a process and fingerprint."""
    return EncodedArrays(folder)


def do(unit: Unit, place: Place) -> None:
    """Fit, predict the test rows if the unit asks for it, and store the outcome."""
    task, store = place.open()
    # Not the clock on the wall: other work on the machine is no cost of this fit.
    begun = time.process_time()
    known: dict[str, Any] = {
        "contender": unit.contender.name, "values": dict(unit.values), "seed": unit.seed,
    }  # fmt: skip
    try:
        fit = unit.contender.fit(task, unit.values, unit.seed)
    except DivergedError as error:
        if unit.tested:
            raise
        seconds = round(time.process_time() - begun, 3)
        store.keep(unit, Outcome(**known, seconds=seconds, diverged=str(error)), None)
        return
    outcome = Outcome(
        **known,
        seconds=round(time.process_time() - begun, 3),
        validation_loss=fit.validation_loss,
        parameters=fit.parameters,
        flops_per_row=fit.flops_per_row,
    )
    store.keep(unit, outcome, fit.predict_test() if unit.tested else None)


@contextmanager
def workers(jobs: int) -> Iterator[Executor]:
    """Something that does units: `jobs` processes, or this one if `jobs` is 1.

    Processes are started afresh, because a fork of a process that has used torch's threads can hang.
    """
    if jobs == 1:
        yield _Here()
        return
    with ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        yield pool


class _Here(Executor):
    """Does what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _end_with_parent() -> None:
    """Have this process end when the one that started it was killed; else it would wait for work for ever."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()
