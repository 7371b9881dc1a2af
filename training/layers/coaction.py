"""The co-action unit: a small network per item, whose weights are the item's row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn


class CoAction(nn.Module):
    """Micro-MLPs, one for each pair of a value of an induction field and a feed field.

    The row of an induction value holds a micro-MLP {W_l, b_l} for every feed field, so the pairs share no
    weights, and none with the embeddings that are fed. tanh stands between the layers; the output is that
    of all layers side by side. Index 0, everything unseen, has a row like any other.

    Args:
        vocabularies: size of each induction field's vocabulary.
        feeds: feed fields.
        dim: width of what is fed.
        widths: of the layers of a micro-MLP.
        orders: a vector x is fed as x, x * x, .. up to this power, through the same micro-MLP.

    Source: Bian et al., CAN, arXiv 2011.05625, section 4.
    """

    starts: Tensor

    def __init__(
        self, vocabularies: Sequence[int], feeds: int, dim: int, widths: Sequence[int], orders: int
    ) -> None:
        super().__init__()
        self.orders = orders
        self.shapes = list(pairwise((dim, *widths)))
        self.width = len(vocabularies) * feeds * orders * sum(widths)
        # W_1, b_1, W_2, b_2, ..: how many numbers of a row each takes.
        self.parts = [size for narrow, wide in self.shapes for size in (narrow * wide, wide)]
        starts = list(accumulate(vocabularies, initial=0))
        self.register_buffer("starts", torch.tensor(starts[:-1]), persistent=False)
        self.table = nn.Embedding(starts[-1], feeds * sum(self.parts))
        with torch.no_grad():
            layers = self.table.weight.view(starts[-1], feeds, -1).split(self.parts, dim=2)
            for (narrow, _), weight, bias in zip(self.shapes, layers[::2], layers[1::2], strict=True):
                weight.normal_(std=narrow**-0.5)
                bias.zero_()

    def networks(self, induction: Tensor) -> Tensor:
        """The micro-MLPs of indices [B, I], one for each feed field: [B, I, F, numbers of a micro-MLP]."""
        rows: Tensor = self.table(induction + self.starts)
        return rows.unflatten(2, (-1, sum(self.parts)))

    def forward(self, networks: Tensor, fed: Tensor, mask: Tensor) -> Tensor:
        """What the micro-MLPs make of a sequence, summed over the positions where there is an event.

        Args:
            networks: [B, I, F, numbers of a micro-MLP].
            fed: [B, F, L, dim].
            mask: bool [B, L].

        Returns:
            [B, I * F * orders * sum(widths)].
        """
        length, last = fed.shape[2], len(self.shapes) - 1
        hidden = torch.cat([fed**order for order in range(1, self.orders + 1)], dim=2).unsqueeze(1)
        parts, outputs = networks.split(self.parts, dim=3), []
        for depth, (shape, weight, bias) in enumerate(zip(self.shapes, parts[::2], parts[1::2], strict=True)):
            hidden = hidden @ weight.unflatten(3, shape) + bias.unsqueeze(3)  # [B, I, F, orders * L, wide]
            hidden = torch.tanh(hidden) if depth < last else hidden
            outputs.append(hidden)
        seen = torch.cat(outputs, dim=4).unflatten(3, (self.orders, length))
        return (seen * mask[:, None, None, None, :, None]).sum(dim=4).flatten(1)
