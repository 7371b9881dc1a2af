"""Gates: what multiplies a hidden vector, between 0 (shut) and 2 (doubled), and 1 at the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from training.layers.routing import RoutedLinear, Routes

GAMMA = 2.0

MakeLinear = Callable[..., "nn.Linear | RoutedLinear"]
"""Makes a dense layer of given widths, with bias or without: `nn.Linear`, or weights per scenario."""


class GateNU(nn.Module):
    """PEPNet's gate neural unit: gamma * sigmoid(relu(x W1 + b1) W2 + b2), gamma = 2.

    The last layer starts at zero, so a fresh gate is exactly 1 and a gated network starts as the
    network without gates. Takes [..., inputs], gives [..., outputs].

    Source: PEPNet, arXiv 2302.01115, section 2.2.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, hidden)
        self.out = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        return GAMMA * torch.sigmoid(self.out(torch.relu(self.hidden(x))))


class GateHead(nn.Module):
    """The last layer of a gate: gamma * sigmoid(x W + b), W = b = 0 at the start."""

    def __init__(self, hidden: int, outputs: int, linear: MakeLinear) -> None:
        super().__init__()
        self.out = linear(hidden, outputs)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, *routes: Routes) -> Tensor:
        return GAMMA * torch.sigmoid(self.out(x, *routes))


class PriorGates(nn.Module):
    """A gate for each of several layers, all opened by the same [priors, sg(context)].

    gate_l = gamma * sigmoid(relu(W1_l [priors, sg(context)] + b1_l) W2_l + b2_l), the same as a GateNU each.
    The first layers of all are one product, which is kept apart in what reads the priors and what reads the
    context: no gradient is computed for the context, only to be dropped.

    Takes priors [..., D_p] and context [..., D_c], and gives [..., width] for every width. With `linear` a
    layer that has weights per scenario, takes and gives tiles [N, R, ...], and takes their routes too.
    """

    def __init__(
        self,
        priors: int,
        context: int,
        hidden: int,
        widths: Sequence[int],
        linear: MakeLinear = nn.Linear,
    ) -> None:
        super().__init__()
        self.from_priors = linear(priors, len(widths) * hidden)
        self.from_context = linear(context, len(widths) * hidden, bias=False)
        self.heads = nn.ModuleList(GateHead(hidden, width, linear) for width in widths)

    def forward(self, priors: Tensor, context: Tensor, *routes: Routes) -> list[Tensor]:
        seen = self.from_priors(priors, *routes) + self.from_context(context.detach(), *routes)
        hidden = torch.relu(seen).chunk(len(self.heads), dim=-1)
        return [head(own, *routes) for head, own in zip(self.heads, hidden, strict=True)]


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
        # No embedding table: those learn slowly, as many rows that are seldom read must.
        self.r = nn.Parameter(torch.zeros(groups, width))

    def forward(self, group: Tensor) -> Tensor:
        return GAMMA * torch.sigmoid(self.r[group])
