"""A network of training/models as a contender."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from training.comparison.contenders import Task, Values
from training.comparison.cost import flops_per_row
from training.config import TrainConfig
from training.devices import find_device
from training.loop import train
from training.models.base import Ranker
from training.models.build import build
from training.score import BATCH_SIZE, score

_RATES = {"lr": (3e-4, 3e-3), "embedding_lr": (1e-5, 1e-3)}
_DROPOUT = (0.0, 0.6)
_CHOICES = {
    "weight_decay": (0.0, 1e-6, 1e-5, 1e-4, 1e-3),
    "ema_decay": (0.0, 0.99, 0.998),
    "batch_size": (256, 512, 1024),
}


@dataclass(frozen=True)
class NetworkFit:
    """A trained network, with the weights of its best epoch."""

    model: Ranker
    task: Task
    device: torch.device
    validation_loss: float

    @property
    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters())

    @cached_property
    def flops_per_row(self) -> float:
        return flops_per_row(self.model, self.task.arrays, self.device)

    def predict_test(self) -> NDArray[np.float32]:
        return score(self.model, self.task.arrays.batches("test", BATCH_SIZE, self.device))


@dataclass(frozen=True)
class Network:
    """The model `name`. All networks share one search space: how they learn, not what they are."""

    name: str

    def space(self, config: TrainConfig) -> dict[str, BaseDistribution]:
        space: dict[str, BaseDistribution] = {
            name: FloatDistribution(
                min(low, getattr(config, name)), max(high, getattr(config, name)), log=True
            )
            for name, (low, high) in _RATES.items()
        }
        space["id_dropout"] = FloatDistribution(_DROPOUT[0], max(_DROPOUT[1], config.id_dropout))
        for name, choices in _CHOICES.items():
            space[name] = CategoricalDistribution(sorted({*choices, getattr(config, name)}))
        return space

    def committed(self, config: TrainConfig) -> Values:
        return {name: getattr(config, name) for name in self.space(config)}

    def settings(self, config: TrainConfig) -> dict[str, object]:
        tuned = self.space(config)
        shared = config.model_dump(mode="json", exclude={"models", "seed", *tuned})
        return {"own": config.models.get(self.name, {}), "shared": shared, "torch": torch.__version__}

    def fit(self, task: Task, values: Values, seed: int) -> NetworkFit:
        torch.set_num_threads(1)
        device = find_device(task.device)
        config = task.config.model_copy(update={**values, "seed": seed})
        torch.manual_seed(seed)
        model = build(self.name, task.arrays.encoder.spec, config)
        curve = train(model, task.arrays, config, device=device)
        return NetworkFit(model, task, device, min(point.validation_loss for point in curve))
