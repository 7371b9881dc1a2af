"""How many rows a second the training loop takes, of a source or of one batch that is in memory already."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any

import numpy as np
import torch
from torch import nn

from training.config import TrainConfig
from training.data.batch import Batch
from training.data.source import WHOLE, Source
from training.loop import train
from training.watching import Unwatched


class OtherwiseFed(ABC):
    """A source whose training rows reach the loop in another way; everything else stays."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def rows(self, split: str) -> int:
        return self._source.rows(split)

    def batches(
        self, split: str, size: int, device: torch.device, *, part: slice = WHOLE
    ) -> Generator[Batch]:
        return self._source.batches(split, size, device, part=part)

    @abstractmethod
    def shuffled_batches(
        self, split: str, size: int, device: torch.device, *, seed: int, epoch: int, skip: int = 0,
        part: slice = WHOLE,
    ) -> Generator[Batch]:  # fmt: skip
        """As `Source.shuffled_batches`, of a run that is alone and begins at the beginning."""


class InMemory(OtherwiseFed):
    """Gives the first batch over and over, so that data costs nothing."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._batch: Batch | None = None

    def shuffled_batches(
        self, split: str, size: int, device: torch.device, *, seed: int, epoch: int, **_: Any
    ) -> Generator[Batch]:
        if self._batch is None:
            self._batch = next(
                iter(self._source.shuffled_batches(split, size, device, seed=seed, epoch=epoch))
            )
        yield from repeat(self._batch)


class Endless(OtherwiseFed):
    """Epochs follow each other without validation, for logs of few batches."""

    def shuffled_batches(
        self, split: str, size: int, device: torch.device, *, seed: int, epoch: int, **_: Any
    ) -> Generator[Batch]:
        for turn in count(epoch):
            yield from self._source.shuffled_batches(split, size, device, seed=seed, epoch=turn)


@dataclass(frozen=True, slots=True)
class Speed:
    """Rows a second.

    Attributes:
        wall: of the clock on the wall.
        cpu: of this process's CPU time. With one thread that is what `wall` would be if nobody else
            used the machine.
    """

    wall: float
    cpu: float


class Clock:
    """Times what lies between ticks, but for the first ones, which warm up.

    Each tick ends a step and the loading before it. The median step counts: other work on the machine
    lengthens some steps and shortens none.
    """

    def __init__(self, warm_up: int = 1) -> None:
        self._warm_up = warm_up
        self._ticks: list[tuple[float, float]] = []

    def tick(self) -> None:
        self._ticks.append((time.perf_counter(), time.process_time()))

    @property
    def steps(self) -> int:
        return len(self._ticks) - 1 - self._warm_up

    def speed(self, rows: int) -> Speed:
        """The speed, where each step took `rows` rows."""
        wall, cpu = np.median(np.diff(self._ticks[self._warm_up :], axis=0), axis=0)
        return Speed(float(rows / wall), float(rows / cpu))


Contender = Callable[[], Speed]
"""Takes some steps, and says how fast."""


class _EnoughError(Exception):
    """Enough steps were timed."""


class _Stopwatch(Unwatched):
    """Breaks a run off once enough of its steps are timed."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self.clock = Clock()
        self._steps = steps
        self._device = device

    def advanced(self, rows: int) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        self.clock.tick()
        if self.clock.steps >= self._steps:
            raise _EnoughError


def loop_speed(
    model: nn.Module, source: Source, config: TrainConfig, device: torch.device, *, steps: int
) -> Speed:
    """The speed of `steps` steps of the project's own training loop."""
    watch = _Stopwatch(steps, device)
    try:
        train(model, source, config, device=device, watcher=watch)
    except _EnoughError:
        return watch.clock.speed(config.batch_size)
    raise ValueError(f"the source has too few rows for {steps} steps of {config.batch_size}")


Figures = dict[str, dict[str, Any]]
"""Contender to its median `rows/s` and `rows/CPU s`, and the latter turn by turn."""


def in_turns(contenders: Mapping[str, Contender], turns: int) -> Figures:
    """The contenders' speeds; all take a turn before one takes its next."""
    runs: dict[str, list[Speed]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, contender in contenders.items():
            runs[name].append(contender())
    return {
        name: {
            "rows/s": statistics.median(speed.wall for speed in of),
            "rows/CPU s": statistics.median(speed.cpu for speed in of),
            "turns": [speed.cpu for speed in of],
        }
        for name, of in runs.items()
    }


def times_faster(figures: Figures, one: str, other: str) -> float:
    """How much more CPU time `other` took, in the median turn: what slows the machine slows a whole turn."""
    turns = zip(figures[one]["turns"], figures[other]["turns"], strict=True)
    return statistics.median(fast / slow for fast, slow in turns)
