"""Dense layers of low rank whose small core is generated, from knowledge of the scenario or of the row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.layers.routing import Routes

_CONDITION_SHARE = 0.1  # of a fresh core, by standard deviation; the rest is shared by all conditions


class GeneratedCore(nn.Module):
    """y = U (S(z) (V x)) + b with S(z) = reshape(G z + g) in [k, k]: no matrix of full width is generated.

    V and U are shared and of the layer's width; V x has k columns. g starts as the identity and G small,
    so that a fresh layer is nearly the same low-rank layer U V for all conditions z.

    Source: APG, arXiv 2203.16218, in its low-rank, decomposed form with shared U and V.
    """

    def __init__(self, condition: int, inputs: int, rank: int, outputs: int) -> None:
        super().__init__()
        self.V = nn.Linear(inputs, rank, bias=False)
        self.U = nn.Linear(rank, outputs)
        small = _CONDITION_SHARE * (rank * condition) ** -0.5
        self.G = nn.Parameter(torch.empty(condition, rank, rank).normal_(std=small))
        self.g = nn.Parameter(torch.eye(rank))

    def forward(self, x: Tensor, condition: Tensor, routes: Routes | None = None) -> Tensor:
        """[B, inputs] to [B, outputs].

        Args:
            x: the rows.
            condition: z, [B, R] of each row; or, with `routes`, [S, R] of each scenario.
            routes: of the rows to their scenarios.
        """
        core = torch.einsum("sr,rij->sij", condition, self.G) + self.g
        narrow = self.V(x)
        if routes is None:
            mixed = torch.bmm(narrow.unsqueeze(1), core).squeeze(1)
        else:
            mixed = routes.to_rows(routes.product(routes.to_tiles(narrow), core))
        output: Tensor = self.U(mixed)
        return output
