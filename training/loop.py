"""The training loop: one model, from fresh weights (or a checkpoint) to its best ones."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.averaging import WeightMean
from training.checkpoint import Checkpoint
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.prefetch import prefetched
from training.data.source import Source
from training.devices import in_words
from training.distributed import everyones, leads, part, processes, rank, replicated, total
from training.errors import DivergedError
from training.losses import labelled, masked_bce
from training.metrics import auc
from training.models.base import Ranker
from training.optimizers import make_optimizers
from training.score import BATCH_SIZE, logits_and_labels, probabilities
from training.watching import CurvePoint, Unwatched, Watcher

CHECK_STEPS = 50
"""How often the loss is looked at; each look waits for the GPU."""
CHECKPOINT_STEPS = 500
PREFETCHED = 2
"""Batches gathered ahead for a GPU. On the CPU gathering is too short for a thread to gain anything."""


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
    continued from its checkpoint in between. Processes that torchrun started, connected by
    `training.distributed.joined`, share every batch; the first one alone saves and is watched.

    Args:
        model: fresh, with equal weights in every process.
        source: the rows.
        config: hyperparameters.
        device: of this process.
        checkpoint: where the run's state is kept, and read by every process.
        watcher: is told how it goes.
        checkpoint_steps: steps between checkpoints; there is one after each epoch, too.

    Returns:
        One point an epoch, in order.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    torch.manual_seed(config.seed + rank())  # each process hides ids of its own
    watcher = watcher if watcher and leads() else Unwatched()
    run = _Run(model.to(device), source, config, device, watcher)
    if checkpoint is not None and (state := checkpoint.load()) is not None:
        run.restore(state)
    watcher.started(in_words(device), run.progress.step)
    if device.type == "cuda":
        model.compile()
    while not run.progress.finished(config):
        with closing(run.steps()) as steps:
            for _ in steps:
                if checkpoint is not None and run.progress.step % checkpoint_steps == 0:
                    run.require_finite()
                    _save(checkpoint, run)
        run.require_finite()
        run.end_epoch()
        if checkpoint is not None:
            _save(checkpoint, run)
    model.load_state_dict(run.best)
    return [CurvePoint(**point | {"auc": tuple(point["auc"])}) for point in run.progress.curve]


def _save(checkpoint: Checkpoint, run: _Run) -> None:
    state = run.state()  # in every process, for each adds what is its own
    if leads():
        checkpoint.save(state)


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
        self._weights = model.target_weights if isinstance(model, Ranker) else None
        self._optimizers = make_optimizers(model, config)
        self._mean = WeightMean(model, config.ema_decay) if config.ema_decay else None
        self._replica = replicated(model)
        # Kept on the device: reading them every step would make the CPU wait for the GPU.
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)

    def steps(self) -> Generator[None]:
        """Take the steps that the epoch still lacks, one at each turn."""
        progress, size, rows = self.progress, self._config.batch_size, self._source.rows("train")
        self._watcher.epoch_started(progress.epoch, self._config.epochs, rows)
        self._watcher.advanced(progress.batch * size)
        self._replica.train()
        with closing(self._batches()) as batches:
            for batch in batches:
                loss = self._step(batch)
                bad = ~torch.isfinite(loss) & (self._first_bad < 0)
                self._first_bad = torch.where(bad, progress.batch, self._first_bad)
                taken = min(size, rows - progress.batch * size)  # by all processes
                self._loss_sum += loss.double() * taken
                progress.batch += 1
                progress.step += 1
                if progress.step % CHECK_STEPS == 0:
                    self.require_finite()
                self._watcher.advanced(taken)
                yield

    def _batches(self) -> Generator[Batch]:
        """This process's rows of the epoch's batches that are left."""
        batches = self._source.shuffled_batches(
            "train", self._config.batch_size, self._device,
            seed=self._config.seed, epoch=self.progress.epoch, skip=self.progress.batch, part=part(),
        )  # fmt: skip
        return prefetched(batches, PREFETCHED) if self._device.type == "cuda" else batches

    def _step(self, batch: Batch) -> Tensor:
        """Update the weights; the loss of all processes' rows, a scalar without gradient."""
        with self._autocast():
            logits = self._replica(batch)
            learnt = batch.labels[:, : logits.shape[1]]  # not the auxiliary tasks, where the model has none
            loss = masked_bce(logits, learnt, total(labelled(learnt)), self._weights)
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        # The processes' losses add up to that of the whole batch; their gradients are averaged.
        (loss * processes()).backward()  # type: ignore[no-untyped-call]
        if self._mean is not None:
            self._mean.before_step()
        for optimizer in self._optimizers:
            optimizer.step()
        if self._mean is not None:
            self._mean.after_step()
        return total(loss.detach())

    def end_epoch(self) -> None:
        """Validate, keep the weights if they are the best so far, and turn to the next epoch.

        With `ema_decay`, the weights' running mean is what is validated and kept.
        """
        with self._mean.in_place() if self._mean is not None else nullcontext():
            point = self._validated()
            if point.validation_loss < self.progress.best_loss:
                self.progress.best_loss, self.progress.best_epoch = point.validation_loss, point.epoch
                self.best = {name: value.clone() for name, value in self._model.state_dict().items()}
        self.progress.curve.append(asdict(point))
        self.progress.epoch, self.progress.batch = self.progress.epoch + 1, 0
        self._loss_sum.zero_()
        self._watcher.epoch_ended(point)

    def _validated(self) -> CurvePoint:
        progress = self.progress
        rows = self._source.batches("validation", BATCH_SIZE, self._device, part=part())
        with self._autocast():
            own = logits_and_labels(self._model, rows)
        values, known = (torch.cat(parts) for parts in zip(*everyones(own), strict=True))
        validation_loss = float(masked_bce(values.double(), known.double()))
        if not math.isfinite(validation_loss):
            raise DivergedError(
                f"the validation loss is {validation_loss} after epoch {progress.epoch}; "
                f"lower train.lr in params.yaml"
            )
        scores, labels = probabilities(values), known.numpy()
        return CurvePoint(
            epoch=progress.epoch,
            step=progress.step,
            train_loss=float(self._loss_sum) / self._source.rows("train"),
            validation_loss=validation_loss,
            auc=tuple(_known_auc(labels[:, task], scores[:, task]) for task in range(labels.shape[1])),
        )

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
            "mean": None if self._mean is None else self._mean.state(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "rng": everyones(torch.get_rng_state()),
            "cuda_rng": everyones(
                torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None
            ),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where `state` was taken."""
        self.progress = _Progress(**state["progress"])
        self._loss_sum.fill_(self.progress.loss_sum)
        self._model.load_state_dict(state["model"])
        self.best = state["best"]
        for optimizer, own in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        if self._mean is not None:
            self._mean.restore(state["mean"])
        torch.set_rng_state(state["rng"][rank()])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"][rank()], self._device)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()


def _known_auc(labels: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    known = ~np.isnan(labels)
    value = auc(labels[known], scores[known])
    return math.nan if value is None else value
