"""Meta units: dense layers whose weights are generated from knowledge of the scenario."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SCENARIO_SHARE = 0.1  # of a fresh layer's weights, by standard deviation; the rest is shared by all rows


class MetaLayer(nn.Module):
    """N square dense layers W h + b side by side, W and b linear in the row's knowledge S~ of width R.

    W = reshape(V_w S~ + v_w) in [d, d] and b = V_b S~ + v_b, with V_w, v_w, V_b, v_b of each layer's
    own. Nothing normalises or squashes W and b. v_w starts as a dense layer (Glorot) and V_w small,
    so that a fresh layer is nearly the same for all scenarios.

    Takes hidden [G, N, M, d], or [G, M, d] that all N layers read, and knowledge [G, R]: M vectors share
    the weights that a knowledge generates. `constant` [N, c] is what layer n reads behind every vector,
    which is c narrower then. Gives [G, N, M, d].

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

    def forward(self, hidden: Tensor, knowledge: Tensor, constant: Tensor | None = None) -> Tensor:
        # What is shared by all is the matrix of one more piece of knowledge, which is always 1.
        known = F.pad(knowledge, (0, 1), value=1.0)  # [G, R + 1]
        matrices = torch.cat([self.V_w, self.v_w.unsqueeze(1)], dim=1)  # [N, R + 1, d, d]
        biases = torch.cat([self.V_b, self.v_b.unsqueeze(1)], dim=1)  # [N, R + 1, d]
        if constant is not None:
            matrices, of_constant = matrices.tensor_split((hidden.shape[-1],), dim=2)
            biases = biases + torch.einsum("ni,nrij->nrj", constant, of_constant)
        # What is smaller per knowledge decides: the vectors times R + 1, or the matrices W.
        weighted = hidden.shape[1:].numel() * known.shape[1] < matrices[:, 0].numel()
        product = self._weigh_vectors if weighted else self._weigh_matrices
        return product(hidden, known, matrices) + torch.einsum("gr,nrj->gnj", known, biases).unsqueeze(2)

    @staticmethod
    def _weigh_vectors(hidden: Tensor, known: Tensor, matrices: Tensor) -> Tensor:
        """h^T W = [S~_1 h, .., S~_R h, h]^T [V_1; ..; V_R; v]: linearity, and W never made."""
        weights = known.view(-1, *[1] * (hidden.dim() - 2), known.shape[1], 1)
        vectors = (weights * hidden.unsqueeze(-2)).flatten(-2)
        equation = "gmk,nkj->gnmj" if hidden.dim() == 3 else "gnmk,nkj->gnmj"
        return torch.einsum(equation, vectors, matrices.flatten(1, 2))

    @staticmethod
    def _weigh_matrices(hidden: Tensor, known: Tensor, matrices: Tensor) -> Tensor:
        """h^T W, with W generated for every knowledge."""
        weights = torch.einsum("gr,nrij->gnij", known, matrices)
        return (hidden.unsqueeze(1) if hidden.dim() == 3 else hidden) @ weights


class MetaUnit(nn.Module):
    """`depth` meta layers, each followed by LeakyReLU: h = phi(W h + b), repeated.

    Takes what the first layer takes, `constant` included.
    """

    def __init__(self, count: int, knowledge: int, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MetaLayer(count, knowledge, width) for _ in range(depth))

    def forward(self, hidden: Tensor, knowledge: Tensor, constant: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden, knowledge, constant))
            constant = None
        return hidden
