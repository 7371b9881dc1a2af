"""POSO-MLP: the pooled MLP, with every hidden unit opened or shut by how new and active the user is."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.poso import activity_gate
from training.models.base import Ranker


class PosoMLP(Ranker):
    """h_{l+1} = C g_l(x_pc) * relu(W_l h_l + b_l), C = 2; x_pc says how new and active the user is.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of the network.
        gate_hidden: hidden width of every gate.

    Source: Dai et al., POSO, arXiv 2108.04690, section 3.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig, *, gate_hidden: int = 32) -> None:
        super().__init__(spec, config)
        widths = (self.inputs.width(*Role), *config.hidden)
        self.layers = nn.ModuleList(nn.Linear(narrow, wide) for narrow, wide in pairwise(widths))
        self.gates = nn.ModuleList(
            activity_gate(spec, self.inputs, gate_hidden, width) for width in config.hidden
        )
        self.out = nn.Linear(config.hidden[-1], self.targets)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        hidden = inputs.of(*Role)
        for layer, gate in zip(self.layers, self.gates, strict=True):
            hidden = gate(inputs.activity) * torch.relu(layer(hidden))
        logits: Tensor = self.out(hidden)
        return logits


MODEL = PosoMLP
