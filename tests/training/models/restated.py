"""The papers' parts a row at a time in plain arithmetic, and inputs that collect gradients."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import torch
from torch import nn

from features.declarations.features import Role
from training.data.batch import Batch
from training.layers.gates import GateNU
from training.layers.inputs import Inputs
from training.layers.towers import ParallelLinear
from training.models.pepnet import PEPNet

Matrix = list[list[float]]
GENERAL = (Role.USER, Role.ITEM, Role.GENERAL, Role.SEQUENCE)
"""Everything but the scenario's features: E of PEPNet."""


def dense(x: list[float], weight: Matrix, bias: list[float]) -> list[float]:
    """Give x W + b, with W as [inputs, outputs]."""
    return [sum(v * weight[i][o] for i, v in enumerate(x)) + bias[o] for o in range(len(bias))]


def relu(x: list[float]) -> list[float]:
    return [max(0.0, value) for value in x]


def times(gate: list[float], x: list[float]) -> list[float]:
    return [g * v for g, v in zip(gate, x, strict=True)]


def opened(scores: list[float]) -> list[float]:
    return [2.0 / (1.0 + exp(-score)) for score in scores]


def gate_restated(gate: GateNU, x: list[float]) -> list[float]:
    hidden = relu(dense(x, gate.hidden.weight.T.tolist(), gate.hidden.bias.tolist()))
    return opened(dense(hidden, gate.out.weight.T.tolist(), gate.out.bias.tolist()))


def layer_restated(layer: ParallelLinear, task: int, x: list[float]) -> list[float]:
    return dense(x, layer.weight[task].tolist(), layer.bias[task].tolist())


def pooled_restated(inputs: Inputs, row: int) -> list[float]:
    """Mean of the row's events, zeros if it has none."""
    events = inputs.sequence[row][inputs.mask[row]].tolist()
    return [sum(event[c] for event in events) / max(1, len(events)) for c in range(inputs.sequence.shape[-1])]


class Leaves(nn.Module):
    """Stands in for the input layer: gives the same inputs, as leaves that collect gradients."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        held = {role.value: getattr(inputs, role.value).detach().requires_grad_() for role in Role}
        self.held = replace(inputs, **held)

    def forward(self, batch: Batch) -> Inputs:
        return self.held

    def with_gradient(self) -> set[str]:
        """Roles that collected a gradient other than zero."""
        grads = {role.value: getattr(self.held, role.value).grad for role in Role}
        return {name for name, grad in grads.items() if grad is not None and grad.any()}


def moved(model: nn.Module, by: float = 0.3) -> None:
    """Move every parameter away from its start, so that gates open to different degrees."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn_like(parameter)


def gates_of(model: PEPNet, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """EPNet's gate [B, D_E], and PPNet's of each layer [B, T, width of the layer's input]."""
    with torch.no_grad():
        inputs = model.inputs(batch)
        general = inputs.of(*GENERAL)
        gate = model._embedding_gate(inputs, general)
        return gate, model._layer_gates(inputs, gate * general)
