"""A run's curves as TensorBoard shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

from training.watching import CurvePoint, Unwatched


class TensorBoard(Unwatched):
    """Writes each epoch's losses and validation AUCs to event files, by step.

    Args:
        folder: of this run alone; events of an earlier run in it are removed, those of this run before
            it was interrupted are kept.
        tasks: names of the tasks.
    """

    def __init__(self, folder: Path, tasks: Sequence[str]) -> None:
        self._folder = folder
        self._tasks = tasks
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def epoch_started(self, epoch: int, epochs: int, rows: int) -> None:
        if epoch == 1:
            for stale in self._folder.glob("events.out.tfevents.*"):
                stale.unlink()

    def epoch_ended(self, point: CurvePoint) -> None:
        if self._writer is None:
            self._writer = SummaryWriter(str(self._folder))
        values = {"loss/train": point.train_loss, "loss/validation": point.validation_loss}
        values |= {f"auc/{task}": area for task, area in zip(self._tasks, point.auc, strict=True)}
        for name, value in values.items():
            if not math.isnan(value):
                self._writer.add_scalar(name, value, point.step)
        self._writer.flush()
