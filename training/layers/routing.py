"""Weights per scenario: rows are sorted into tiles of one group, and each meets its own weights alone.

All S towers for every row cost S times the work, and so does padding every group to the longest when one
scenario has most of the rows. Here the sorted rows are cut into (K + 1) S tiles, the rows of a tile all of
one group, and a layer is one batched product of the tiles with their groups' weights. A tile has about
B / (K S) places: however the rows are spread, B + B / K places do, and two a tile for rounding. Shapes follow
from B alone: nothing waits for a GPU to count, and `torch.export` traces the same code for any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

_TILES = 48
"""About how many tiles (K S). More hold fewer empty places, and copy the groups' weights more often."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Where each of B rows lies among N tiles of R places; found once a batch, shared by all layers.

    Attributes:
        place: int64 [B], the row's place, 0 to N R - 1.
        row: int64 [N R], the row at each place; an empty place repeats a row, and nobody reads the result.
        tile_group: int64 [N], the one group that all rows of a tile belong to.
    """

    place: Tensor
    row: Tensor
    tile_group: Tensor

    def to_tiles(self, rows: Tensor) -> Tensor:
        """[B, ...] to [N, R, ...]."""
        count = self.tile_group.shape[0]
        return rows.index_select(0, self.row).view(count, self.row.shape[0] // count, *rows.shape[1:])

    def to_rows(self, tiles: Tensor) -> Tensor:
        """[N, R, ...] to [B, ...], in the order that `to_tiles` was given."""
        return tiles.flatten(0, 1).index_select(0, self.place)

    def product(self, tiles: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Compute x W_g + b_g for every x of a tile of group g: [N, R, inputs] to [N, R, outputs].

        Args:
            tiles: from `to_tiles`.
            weight: [S, inputs, outputs].
            bias: [S, outputs]; none adds nothing.
        """
        own_weight = weight.index_select(0, self.tile_group)
        if bias is None:
            return torch.bmm(tiles, own_weight)
        return torch.baddbmm(bias.index_select(0, self.tile_group).unsqueeze(1), tiles, own_weight)


def route(group: Tensor, groups: int) -> Routes:
    """Sort rows into tiles by their groups, int64 [B], each 0 to `groups` - 1."""
    full = max(2, _TILES // groups) * groups  # tiles that would do, did every group fill its last one
    rows, count = group.shape[0], full + groups
    size = rows // full + 2  # never one: tracing takes a size of one for a constant
    index = torch.arange(rows, device=group.device)
    members = torch.zeros(groups, dtype=torch.int64, device=group.device)
    members = members.scatter_add(0, group, torch.ones_like(group))
    tiles = (members + size - 1) // size
    last_row, last_tile = members.cumsum(0), tiles.cumsum(0)

    sorted_group, order = torch.sort(group)
    within = index - (last_row - members)[sorted_group]
    sorted_place = (last_tile - tiles)[sorted_group] * size + within
    tile = torch.arange(count, device=group.device).unsqueeze(1)
    return Routes(
        place=torch.zeros_like(group).scatter(0, order, sorted_place),
        row=group.new_zeros(count * size).scatter(0, sorted_place, order),
        # Tiles after the last are empty, and may take anybody's weights.
        tile_group=(tile >= last_tile).sum(dim=1).clamp(max=groups - 1),
    )


class RoutedLinear(nn.Module):
    """A dense layer per group: a row of group g is x W_g + b_g. [N, R, inputs] to [N, R, outputs], in tiles.

    Groups 1 to `groups` - 1 have weights of their own, which start alike. Group 0, a scenario unseen in
    training, has none: it takes the mean of all others', a network in the middle of those that set out from
    one start. No row of group 0 trains anything but through that mean.

    Args:
        groups: how many, group 0 included.
        inputs: width read.
        outputs: width written.
        bias: whether there is a b_g.
    """

    bias: nn.Parameter | None

    def __init__(self, groups: int, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        bound = inputs**-0.5  # as nn.Linear starts
        weight = torch.empty(inputs, outputs).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight.repeat(groups - 1, 1, 1))
        self.bias = None
        if bias:
            self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound).repeat(groups - 1, 1))

    def forward(self, tiles: Tensor, routes: Routes) -> Tensor:
        bias = None if self.bias is None else _with_mean(self.bias)
        return routes.product(tiles, _with_mean(self.weight), bias)


class RoutedMLP(nn.Module):
    """An MLP per group: `RoutedLinear` layers, each followed by ReLU, in tiles throughout."""

    def __init__(self, groups: int, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            RoutedLinear(groups, narrow, wide) for narrow, wide in pairwise((inputs, *widths))
        )

    def forward(self, tiles: Tensor, routes: Routes) -> Tensor:
        for layer in self.layers:
            tiles = torch.relu(layer(tiles, routes))
        return tiles


def _with_mean(known: Tensor) -> Tensor:
    """[S - 1, ...] to [S, ...]: index 0 is the mean of the others."""
    return torch.cat([known.mean(dim=0, keepdim=True), known])
