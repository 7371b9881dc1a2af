"""LHUC: the pooled MLP, with every hidden unit opened or shut by the scenario."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.gates import GroupGate
from training.models.base import Ranker


class LHUC(Ranker):
    """h_{l+1} = 2 sigmoid(r_l[scenario]) * relu(W_l h_l + b_l); r is 0 at the start.

    Source: Swietojanski and Renals, Learning Hidden Unit Contributions, 2014 and 2016.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig) -> None:
        super().__init__(spec, config)
        widths = (self.inputs.width(*Role), *config.hidden)
        self.layers = nn.ModuleList(nn.Linear(narrow, wide) for narrow, wide in pairwise(widths))
        self.gates = nn.ModuleList(GroupGate(spec.scenarios, width) for width in config.hidden)
        self.out = nn.Linear(config.hidden[-1], self.targets)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        hidden = inputs.of(*Role)
        for layer, gate in zip(self.layers, self.gates, strict=True):
            hidden = gate(inputs.scenario_index) * torch.relu(layer(hidden))
        logits: Tensor = self.out(hidden)
        return logits


MODEL = LHUC
