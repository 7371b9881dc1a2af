"""Meta units: dense layers whose weights are generated from knowledge of the scenario."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SCENARIO_SHARE = 0.1  # of a fresh layer's weights, by standard deviation; the rest is shared by all rows


class MetaLayer(nn.Module):
    """N square dense layers W h + b side by side, W and b linear in the row's knowledge S~ of width R.

    W = reshape(V_w S~ + v_w) in [d, d] and b = V_b S~ + v_b, with V_w, v_w, V_b, v_b of each layer's
    own. Nothing normalises or squashes W and b. v_w starts as a dense layer (Glorot) and V_w small,
    so that a fresh layer is nearly the same for all scenarios.

    Takes hidden [B, N, M, d] (M vectors of a row share the weights) and knowledge [B, R].

    Source: M2M, arXiv 2201.06814, section 4.2.
    """

    def __init__(self, count: int, knowledge: int, width: int) -> None:
        super().__init__()
        glorot = width**-0.5
        small = _SCENARIO_SHARE * glorot * knowledge**-0.5
        self.V_w = nn.Parameter(torch.empty(count, knowledge, width, width).normal_(std=small))
        self.v_w = nn.Parameter(torch.empty(count, width, width).normal_(std=glorot))
        self.V_b = nn.Parameter(torch.empty(count, knowledge, width).normal_(std=small))
        self.v_b = nn.Parameter(torch.zeros(count, width))

    def forward(self, hidden: Tensor, knowledge: Tensor) -> Tensor:
        bias = torch.einsum("br,nrj->bnj", knowledge, self.V_b) + self.v_b
        rank, width = self.V_w.shape[1:3]
        # W h is linear in S~, so the products with all R matrices can be mixed in place of the
        # matrices. What is smaller per row decides: M * R * d numbers, or W itself, d * d.
        mix_products = hidden.shape[2] * rank < width
        product = self._mix_products if mix_products else self._mix_matrices
        return product(hidden, knowledge) + bias.unsqueeze(2)

    def _mix_products(self, hidden: Tensor, knowledge: Tensor) -> Tensor:
        """h^T W = sum_r S~_r (h^T V_r) + h^T v_w."""
        products = torch.einsum("bnmi,nrij->bnmrj", hidden, self.V_w)
        mixed = (knowledge[:, None, None, :, None] * products).sum(dim=3)
        return mixed + torch.einsum("bnmi,nij->bnmj", hidden, self.v_w)

    def _mix_matrices(self, hidden: Tensor, knowledge: Tensor) -> Tensor:
        """h^T W with W generated for every row."""
        weights = torch.einsum("br,nrij->bnij", knowledge, self.V_w) + self.v_w
        return hidden @ weights


class MetaUnit(nn.Module):
    """`depth` meta layers, each followed by LeakyReLU: h = phi(W h + b), repeated."""

    def __init__(self, count: int, knowledge: int, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MetaLayer(count, knowledge, width) for _ in range(depth))

    def forward(self, hidden: Tensor, knowledge: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = nn.functional.leaky_relu(layer(hidden, knowledge))
        return hidden
