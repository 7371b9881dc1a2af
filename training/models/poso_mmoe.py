"""POSO-MMoE: MMoE, with every expert's output gated by how new and active the user is."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.experts import DenseGate
from training.layers.poso import activity_gate
from training.layers.towers import ParallelMLP, TaskTowers
from training.models.base import Ranker


class PosoMMoE(Ranker):
    """logit_t = tower_t(sum_i w_t(x)_i C g_i(x_pc) * e_i(x)), C = 2; w_t(x) = softmax(W_t x + b_t).

    The personal gates g_i scale each unit of each expert; the task gates w_t then mix as in MMoE, of which
    x, experts, task gates and towers are.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of each expert.
        experts: how many.
        tower: hidden widths of each task's tower.
        gate_hidden: hidden width of the personal gates.

    Source: Dai et al., POSO, arXiv 2108.04690, section 3, on MMoE.
    """

    def __init__(
        self,
        spec: InputSpec,
        config: TrainConfig,
        *,
        experts: int = 4,
        tower: Sequence[int] = (32,),
        gate_hidden: int = 32,
    ) -> None:
        super().__init__(spec, config)
        read, width, tasks = self.inputs.width(*Role), config.hidden[-1], self.targets
        self.experts = ParallelMLP(experts, read, config.hidden)
        self.personal_gates = activity_gate(spec, self.inputs, gate_hidden, experts * width)
        self.task_gates = DenseGate(tasks, read, experts)
        self.towers = TaskTowers(tasks, width, tower)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        x = inputs.of(*Role)
        experts = self.experts(x)  # [B, k, d]
        personal = self.personal_gates(inputs.activity).unflatten(1, experts.shape[1:])
        logits: Tensor = self.towers(self.task_gates(x) @ (personal * experts))
        return logits


MODEL = PosoMMoE
