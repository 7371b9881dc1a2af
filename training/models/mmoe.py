"""MMoE: experts that all tasks share, mixed for each task by a gate of its own."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.experts import DenseGate
from training.layers.towers import ParallelMLP, TaskTowers
from training.models.base import Ranker


class MMoE(Ranker):
    """logit_t = tower_t(sum_i g_t(x)_i e_i(x)), g_t(x) = softmax(W_t x + b_t).

    x is all inputs: the scenario is a feature of experts and gates like any other, so a gate can send
    scenarios to different experts.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of each expert.
        experts: how many.
        tower: hidden widths of each task's tower.

    Source: Ma et al., MMoE, KDD 2018.
    """

    def __init__(
        self, spec: InputSpec, config: TrainConfig, *, experts: int = 4, tower: Sequence[int] = (32,)
    ) -> None:
        super().__init__(spec, config)
        width, tasks = self.inputs.width(*Role), self.targets
        self.experts = ParallelMLP(experts, width, config.hidden)
        self.gates = DenseGate(tasks, width, experts)
        self.towers = TaskTowers(tasks, config.hidden[-1], tower)

    def logits(self, batch: Batch) -> Tensor:
        x = self.inputs(batch).of(*Role)
        logits: Tensor = self.towers(self.gates(x) @ self.experts(x))
        return logits


MODEL = MMoE
