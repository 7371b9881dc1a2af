"""Stacks of dense layers, one at a time or many side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from training.layers.routing import Routes


class MLP(nn.Sequential):
    """Dense layers of the given widths, each followed by the activation: [B, inputs] to [B, widths[-1]]."""

    def __init__(self, inputs: int, widths: Sequence[int], activation: type[nn.Module] = nn.ReLU) -> None:
        layers: list[nn.Module] = []
        for narrow, wide in pairwise((inputs, *widths)):
            layers += [nn.Linear(narrow, wide), activation()]
        super().__init__(*layers)


class ParallelLinear(nn.Module):
    """N dense layers of one shape, each with weights of its own, computed as one product.

    Takes [B, N, inputs], of which layer n reads slice n, or [B, inputs], which all N layers read; gives
    [B, N, outputs]. A task's tower or an expert is one such slice.
    """

    def __init__(self, count: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5  # as nn.Linear starts
        self.weight = nn.Parameter(torch.empty(count, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 2:  # the N layers are one layer of N times the width, and x is never repeated
            wide = self.weight.transpose(0, 1).flatten(1)
            return torch.addmm(self.bias.flatten(), x, wide).view(-1, *self.bias.shape)
        return torch.baddbmm(self.bias.unsqueeze(1), x.transpose(0, 1), self.weight).transpose(0, 1)


class ParallelMLP(nn.Sequential):
    """N MLPs of one shape side by side: [B, N, inputs], or [B, inputs] for all, to [B, N, widths[-1]]."""

    def __init__(
        self, count: int, inputs: int, widths: Sequence[int], activation: type[nn.Module] = nn.ReLU
    ) -> None:
        layers: list[nn.Module] = []
        for narrow, wide in pairwise((inputs, *widths)):
            layers += [ParallelLinear(count, narrow, wide), activation()]
        super().__init__(*layers)


class TaskTowers(ParallelMLP):
    """A tower per task and its logit: [B, T, inputs], or [B, inputs] for all tasks, to logits [B, T]."""

    def __init__(self, tasks: int, inputs: int, widths: Sequence[int]) -> None:
        super().__init__(tasks, inputs, widths)
        self.extend([ParallelLinear(tasks, (inputs, *widths)[-1], 1), nn.Flatten()])  # [B, T, 1] to [B, T]


def repeated(x: Tensor, count: int) -> Tensor:
    """Show the same [B, D] to `count` layers side by side: [B, count, D], without a copy."""
    return x.unsqueeze(1).expand(-1, count, -1)


def gated_tower(
    layers: Iterable[Callable[..., Tensor]], gates: Iterable[Tensor], hidden: Tensor, *routes: Routes
) -> Tensor:
    """Gate the input of every layer: h_{l+1} = relu(layer_l(gate_l * h_l)), without relu in the last layer.

    Takes hidden [..., width of the first layer's input], rows, or tiles and their routes.
    """
    *before, last = zip(layers, gates, strict=True)
    for layer, gate in before:
        hidden = torch.relu(layer(gate * hidden, *routes))
    layer, gate = last
    return layer(gate * hidden, *routes)
