"""Who is told how a training goes: progress bars, curves, logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What is known after an epoch.

    Attributes:
        epoch: from 1.
        step: optimiser steps so far.
        train_loss: mean over the epoch's rows, dropouts and auxiliary tasks included.
        validation_loss: over all validation rows; the epoch with the least is kept.
        auc: of each task on the validation rows, in order of tasks; NaN where only one class is present.
    """

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    auc: tuple[float, ...]


class Watcher(Protocol):
    """Is told how training goes; for a progress bar, or curves.

    `started` comes once, with the device in words and the steps that a checkpoint already held.
    """

    def started(self, device: str, step: int) -> None: ...
    def epoch_started(self, epoch: int, epochs: int, rows: int) -> None: ...
    def advanced(self, rows: int) -> None: ...
    def epoch_ended(self, point: CurvePoint) -> None: ...


class Unwatched:
    """Watches nothing."""

    def started(self, device: str, step: int) -> None: ...
    def epoch_started(self, epoch: int, epochs: int, rows: int) -> None: ...
    def advanced(self, rows: int) -> None: ...
    def epoch_ended(self, point: CurvePoint) -> None: ...


class Watchers:
    """Tells several watchers, in order."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def started(self, device: str, step: int) -> None:
        for watcher in self._watchers:
            watcher.started(device, step)

    def epoch_started(self, epoch: int, epochs: int, rows: int) -> None:
        for watcher in self._watchers:
            watcher.epoch_started(epoch, epochs, rows)

    def advanced(self, rows: int) -> None:
        for watcher in self._watchers:
            watcher.advanced(rows)

    def epoch_ended(self, point: CurvePoint) -> None:
        for watcher in self._watchers:
            watcher.epoch_ended(point)
