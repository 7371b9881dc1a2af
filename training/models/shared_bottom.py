"""Shared bottom: one network for all inputs, then a small tower per task."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.towers import MLP, TaskTowers
from training.models.base import Ranker


class SharedBottom(Ranker):
    """logit_t = tower_t(MLP(all inputs)).

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of the bottom.
        tower: hidden widths of each task's tower.

    Source: Caruana, Multitask Learning, 1997.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig, *, tower: Sequence[int] = (32,)) -> None:
        super().__init__(spec, config)
        self.bottom = MLP(self.inputs.width(*Role), config.hidden)
        self.towers = TaskTowers(self.targets, config.hidden[-1], tower)

    def logits(self, batch: Batch) -> Tensor:
        logits: Tensor = self.towers(self.bottom(self.inputs(batch).of(*Role)))
        return logits


MODEL = SharedBottom
