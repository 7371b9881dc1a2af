"""Pooled MLP: one network for all scenarios and tasks; the scenario is a feature like any other."""

from __future__ import annotations

from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.towers import MLP
from training.models.base import Ranker


class PooledMLP(Ranker):
    """logits = MLP(all inputs) W + b, with one column of W per task."""

    def __init__(self, spec: InputSpec, config: TrainConfig) -> None:
        super().__init__(spec, config)
        self.mlp = MLP(self.inputs.width(*Role), config.hidden)
        self.out = nn.Linear(config.hidden[-1], self.targets)

    def logits(self, batch: Batch) -> Tensor:
        logits: Tensor = self.out(self.mlp(self.inputs(batch).of(*Role)))
        return logits


MODEL = PooledMLP
