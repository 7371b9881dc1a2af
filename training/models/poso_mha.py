"""POSO-MHA: attention over the recent positives, gated by how new and active the user is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.attention import GatedAttention
from training.layers.poso import activity_gate
from training.layers.towers import MLP
from training.models.base import Ranker

_FLAT = (Role.SCENARIO, Role.USER, Role.ITEM, Role.GENERAL)


class PosoMHA(Ranker):
    """logits = W MLP([x, MHA(x, events)]) + b; x is everything but the events.

    Each head h asks once a row: Q_h = W_Q,h x, not gated, for x is the user's own already;
    K_h = C g_K(x_pc) * W_K,h e with one gate for all heads; V_h = C g_V,h(x_pc) * W_V,h e with one per head.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of the MLP.
        attention: width of the attention.
        heads: of the attention; they divide its width.
        gate_hidden: hidden width of both gates.

    Source: Dai et al., POSO, arXiv 2108.04690, section 3, on multi-head attention.
    """

    def __init__(
        self,
        spec: InputSpec,
        config: TrainConfig,
        *,
        attention: int = 32,
        heads: int = 2,
        gate_hidden: int = 32,
    ) -> None:
        super().__init__(spec, config)
        flat, event = self.inputs.width(*_FLAT), self.inputs.width(Role.SEQUENCE)
        self.attention = GatedAttention(flat, event, attention, heads)
        self.key_gate = activity_gate(spec, self.inputs, gate_hidden, attention // heads)
        self.value_gate = activity_gate(spec, self.inputs, gate_hidden, attention)
        self.mlp = MLP(flat + attention, config.hidden)
        self.out = nn.Linear(config.hidden[-1], self.targets)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        x = inputs.of(*_FLAT)
        key_gate, value_gate = self.key_gate(inputs.activity), self.value_gate(inputs.activity)
        attended = self.attention(x, inputs.sequence, inputs.mask, key_gate, value_gate)
        logits: Tensor = self.out(self.mlp(torch.cat([x, attended], dim=1)))
        return logits


MODEL = PosoMHA
