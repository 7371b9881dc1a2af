"""Gates: what multiplies a hidden vector, between 0 (shut) and 2 (doubled), and 1 at the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from training.layers.routing import RoutedLinear, Routes

GAMMA = 2.0

MakeLinear = Callable[[int, int], "nn.Linear | RoutedLinear"]
"""Makes a dense layer of given widths: `nn.Linear`, or one with weights per scenario."""


class GateNU(nn.Module):
    """PEPNet's gate neural unit: gamma * sigmoid(relu(x W1 + b1) W2 + b2), gamma = 2.

    The last layer starts at zero, so a fresh gate is exactly 1 and a gated network starts as the
    network without gates. Takes [..., inputs], gives [..., outputs]. With `linear` a layer that has
    weights per scenario, takes tiles [N, R, inputs] and their routes, and gives tiles.

    Source: PEPNet, arXiv 2302.01115, section 2.2.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, linear: MakeLinear = nn.Linear) -> None:
        super().__init__()
        self.hidden = linear(inputs, hidden)
        self.out = linear(hidden, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, *routes: Routes) -> Tensor:
        return GAMMA * torch.sigmoid(self.out(torch.relu(self.hidden(x, *routes)), *routes))


def gate_input(priors: Tensor, context: Tensor) -> Tensor:
    """[priors, sg(context)]: what opens a gate, and what the gate sees of the rest and does not train."""
    return torch.cat([priors, context.detach()], dim=-1)


class LayerGates(nn.ModuleList):
    """PEPNet's PPNet: a GateNU for every layer of T towers, delta_l = GateNU_l([priors, sg(context)]).

    Takes priors [B, D_p] and context [B, D_c], gives for every layer [B, T, width of the layer's input].

    Source: PEPNet, arXiv 2302.01115.
    """

    def __init__(self, priors: int, context: int, hidden: int, tasks: int, widths: Sequence[int]) -> None:
        super().__init__(GateNU(priors + context, hidden, tasks * width) for width in widths)
        self.tasks = tasks

    def forward(self, priors: Tensor, context: Tensor) -> list[Tensor]:
        read = gate_input(priors, context)
        return [gate(read).unflatten(1, (self.tasks, -1)) for gate in self]


class GroupGate(nn.Module):
    """LHUC: one learned vector r per group (a scenario), gate = 2 * sigmoid(r), r = 0 at the start.

    A group never seen in training keeps r = 0, so its gate stays exactly 1.
    Takes group indices int64 [B], gives [B, width].

    Source: Swietojanski and Renals, Learning Hidden Unit Contributions, 2014 and 2016.
    """

    def __init__(self, groups: int, width: int) -> None:
        super().__init__()
        self.r = nn.Embedding(groups, width)
        nn.init.zeros_(self.r.weight)

    def forward(self, group: Tensor) -> Tensor:
        return GAMMA * torch.sigmoid(cast(Tensor, self.r(group)))
