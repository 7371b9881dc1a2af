"""The training loop: one model, from fresh weights (or a checkpoint) to its best ones."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from training.checkpoint import Checkpoint
from training.config import TrainConfig
from training.data.source import Source
from training.errors import DivergedError
from training.losses import masked_bce
from training.metrics import auc
from training.optimizers import make_optimizers
from training.score import BATCH_SIZE, logits_and_labels, probabilities

CHECK_STEPS = 50
"""How often the loss is looked at; each look waits for the GPU."""
CHECKPOINT_STEPS = 500


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What is known after an epoch.

    Attributes:
        epoch: from 1.
        step: optimiser steps so far.
        train_loss: mean over the epoch's rows, dropouts included.
        validation_loss: over all validation rows; the epoch with the least is kept.
        auc: of each task on the validation rows, in order of tasks; NaN where only one class is present.
    """

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    auc: tuple[float, ...]


class Watcher(Protocol):
    """Is told how training goes; for a progress bar."""

    def epoch_started(self, epoch: int, epochs: int, rows: int) -> None: ...
    def advanced(self, rows: int) -> None: ...
    def epoch_ended(self, point: CurvePoint) -> None: ...


class Unwatched:
    """Watches nothing."""

    def epoch_started(self, epoch: int, epochs: int, rows: int) -> None: ...
    def advanced(self, rows: int) -> None: ...
    def epoch_ended(self, point: CurvePoint) -> None: ...


@dataclass
class _Progress:
    """Where a run stands, apart from weights: plain values, so that a checkpoint can hold them."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best_epoch: int = 0
    best_loss: float = math.inf
    curve: list[dict[str, Any]] = field(default_factory=list)

    def finished(self, config: TrainConfig) -> bool:
        done = self.epoch - 1
        return done >= config.epochs or (done > 0 and done - self.best_epoch >= config.patience)


def find_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def use_available_cores() -> None:
    """Let torch use the cores this process may run on, unless OMP_NUM_THREADS says otherwise."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(len(os.sched_getaffinity(0)), 16))


def train(
    model: nn.Module,
    source: Source,
    config: TrainConfig,
    *,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    watcher: Watcher | None = None,
    checkpoint_steps: int = CHECKPOINT_STEPS,
) -> list[CurvePoint]:
    """Train `model` in place, and leave it with the weights of its best validation loss.

    On the CPU, equal seeds give equal weights bit for bit, whether or not the run was killed and
    continued from its checkpoint in between.

    Returns:
        One point an epoch, in order.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    torch.manual_seed(config.seed)
    run = _Run(model.to(device), source, config, device, watcher or Unwatched())
    if checkpoint is not None and (state := checkpoint.load()) is not None:
        run.restore(state)
    if device.type == "cuda":
        model.compile()
    while not run.progress.finished(config):
        for _ in run.steps():
            if checkpoint is not None and run.progress.step % checkpoint_steps == 0:
                run.require_finite()
                checkpoint.save(run.state())
        run.require_finite()
        run.end_epoch()
        if checkpoint is not None:
            checkpoint.save(run.state())
    model.load_state_dict(run.best)
    return [CurvePoint(**point | {"auc": tuple(point["auc"])}) for point in run.progress.curve]


class _Run:
    """A run in progress: weights, optimisers and position, which a checkpoint saves and restores."""

    def __init__(
        self,
        model: nn.Module,
        source: Source,
        config: TrainConfig,
        device: torch.device,
        watcher: Watcher,
    ) -> None:
        self.progress = _Progress()
        self.best: dict[str, Tensor] = {}
        self._model = model
        self._source = source
        self._config = config
        self._device = device
        self._watcher = watcher
        self._optimizers = make_optimizers(model, config)
        # Kept on the device: reading them every step would make the CPU wait for the GPU.
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)

    def steps(self) -> Iterator[None]:
        """Take the steps that the epoch still lacks, one at each turn."""
        progress, config = self.progress, self._config
        self._watcher.epoch_started(progress.epoch, config.epochs, self._source.rows("train"))
        self._watcher.advanced(progress.batch * config.batch_size)
        self._model.train()
        for batch in self._source.shuffled_batches(
            "train", config.batch_size, self._device,
            seed=config.seed, epoch=progress.epoch, skip=progress.batch,
        ):  # fmt: skip
            with self._autocast():
                loss = masked_bce(self._model(batch), batch.labels)
            for optimizer in self._optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in self._optimizers:
                optimizer.step()
            detached = loss.detach()
            bad = ~torch.isfinite(detached) & (self._first_bad < 0)
            self._first_bad = torch.where(bad, progress.batch, self._first_bad)
            self._loss_sum += detached.double() * len(batch)
            progress.batch += 1
            progress.step += 1
            if progress.step % CHECK_STEPS == 0:
                self.require_finite()
            self._watcher.advanced(len(batch))
            yield

    def end_epoch(self) -> None:
        """Validate, keep the weights if they are the best so far, and turn to the next epoch."""
        progress = self.progress
        rows = self._source.batches("validation", BATCH_SIZE, self._device)
        with self._autocast():
            values, known = logits_and_labels(self._model, rows)
        validation_loss = float(masked_bce(values.double(), known.double()))
        if not math.isfinite(validation_loss):
            raise DivergedError(
                f"the validation loss is {validation_loss} after epoch {progress.epoch}; "
                f"lower train.lr in params.yaml"
            )
        scores, labels = probabilities(values), known.numpy()
        point = CurvePoint(
            epoch=progress.epoch,
            step=progress.step,
            train_loss=float(self._loss_sum) / self._source.rows("train"),
            validation_loss=validation_loss,
            auc=tuple(_known_auc(labels[:, task], scores[:, task]) for task in range(labels.shape[1])),
        )
        if validation_loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = validation_loss, progress.epoch
            self.best = {name: value.detach().clone() for name, value in self._model.state_dict().items()}
        progress.curve.append(asdict(point))
        progress.epoch, progress.batch = progress.epoch + 1, 0
        self._loss_sum.zero_()
        self._watcher.epoch_ended(point)

    def require_finite(self) -> None:
        """Raise DivergedError if the loss of a step of this epoch was not finite."""
        batch = int(self._first_bad)
        if batch >= 0:
            raise DivergedError(
                f"the loss is not finite in epoch {self.progress.epoch}, batch {batch} (from 0); "
                "lower train.lr in params.yaml, or look at the numeric features of that batch"
            )

    def state(self) -> dict[str, Any]:
        """Everything the rest of the run depends on."""
        return {
            "progress": asdict(self.progress) | {"loss_sum": float(self._loss_sum)},
            "model": self._model.state_dict(),
            "best": self.best,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where `state` was taken."""
        self.progress = _Progress(**state["progress"])
        self._loss_sum.fill_(self.progress.loss_sum)
        self._model.load_state_dict(state["model"])
        self.best = state["best"]
        for optimizer, own in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"], self._device)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()


def _known_auc(labels: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    known = ~np.isnan(labels)
    value = auc(labels[known], scores[known])
    return math.nan if value is None else value
