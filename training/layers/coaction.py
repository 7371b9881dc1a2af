"""The co-action unit: a small network per item, whose weights are the item's row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from training.layers.tables import Table


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
        self.table = Table(starts[-1], feeds * sum(self.parts), lookups=len(vocabularies))
        with torch.no_grad():
            layers = torch.split(self.table.weight.view(starts[-1], feeds, -1), self.parts, dim=2)
            for (narrow, _), weight, bias in zip(self.shapes, layers[::2], layers[1::2], strict=True):
                weight.normal_(std=narrow**-0.5)
                bias.zero_()

    def networks(self, induction: Tensor) -> Tensor:
        """The micro-MLPs of indices [B, I], one for each feed field: [B, I, F, numbers of a micro-MLP]."""
        rows: Tensor = self.table(induction + self.starts)
        return torch.unflatten(rows, 2, (-1, sum(self.parts)))

    def forward(self, networks: Tensor, fed: Tensor, mask: Tensor) -> Tensor:
        """What the micro-MLPs make of a sequence, summed over the positions where there is an event.

        Args:
            networks: [B, I, F, numbers of a micro-MLP].
            fed: [B, F, L, dim].
            mask: bool [B, L].

        Returns:
            [B, I * F * orders * sum(widths)].
        """
        parts = torch.split(networks, self.parts, dim=3)
        weights = [torch.unflatten(w, 3, shape) for w, shape in zip(parts[::2], self.shapes, strict=True)]
        layers = list(zip(weights, (bias.unsqueeze(3) for bias in parts[1::2]), strict=True))
        fed = fed.unsqueeze(1)
        return torch.cat([_summed(layers, fed**order, mask) for order in range(1, self.orders + 1)], dim=1)


def _summed(layers: Sequence[tuple[Tensor, Tensor]], fed: Tensor, mask: Tensor) -> Tensor:
    """All layers' outputs for `fed` [B, 1, F, L, dim], summed over events: [B, I * F * sum(widths)]."""
    here = mask[:, None, None, :, None]
    *between, (last_weight, last_bias) = layers
    hidden, sums = fed, []
    for weight, bias in between:
        hidden = torch.tanh(hidden @ weight + bias)  # [B, I, F, L, wide]
        sums.append((hidden * here).sum(dim=3, keepdim=True))
    # The last layer is linear: it reads the sum once instead of every event.
    read = sums[-1] if sums else (fed * here).sum(dim=3, keepdim=True)
    sums.append(read @ last_weight + here.sum(dim=3, keepdim=True) * last_bias)
    return torch.cat(sums, dim=4).flatten(1)
