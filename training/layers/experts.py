"""Mixtures of experts: the weights of a mixture."""

from __future__ import annotations

from torch import Tensor, nn


class ExpertGate(nn.Module):
    """The weights of a mixture: softmax over the experts' scores, [..., k] to [..., k].

    The weights of every mixture in Gatehouse are what such a module returns, so that a forward hook
    sees which expert is used where. `weights [B, N, k] @ experts [B, k, d]` mixes N times, [B, N, d].
    """

    def forward(self, scores: Tensor) -> Tensor:
        return scores.softmax(dim=-1)
