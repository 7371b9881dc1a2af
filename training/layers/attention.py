"""Attention along the sequence axis: rows of a batch never see each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.errors import ModelSettingsError


class SelfAttention(nn.Module):
    """Multi-head self-attention over the positions of each row: [B, L, width] to [B, L, width].

    Positions where the mask [B, L] is False are neither read nor written: nothing attends to
    them, and their output is zero. So is a row that has no position at all.

    Raises:
        ModelSettingsError: the heads do not divide the width.

    Source: Vaswani et al., arXiv 1706.03762, section 3.2.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        _check_heads(width, heads)
        self.heads = heads
        # A key bias adds the same to every score of a query, which softmax cancels: no biases here.
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        projected = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # [B, L, 3, heads, d]
        q, k, v = projected.permute(2, 0, 3, 1, 4)  # each [B, heads, L, d]
        # Softmax over nothing is NaN on some devices: a row without positions reads its padding,
        # and is zeroed below.
        readable = mask | ~mask.any(dim=1, keepdim=True)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=readable[:, None, None, :])
        output: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return output * mask.unsqueeze(-1)


class GatedAttention(nn.Module):
    """Multi-head attention of one query per row over the row's events, keys and values gated.

    Head h scores event e by <W_Q,h x, key_gate * W_K,h e> / sqrt(d) and adds up value_gate_h * W_V,h e by the
    softmax of the scores. A gate is the same for all events of a row and so leaves the sums: it multiplies
    the query in place of the keys, and the sum in place of the values. So do W_K and W_V, which then work
    once a row instead of once an event.

    Takes x [B, queries], events [B, L, events], mask [B, L], key_gate [B, d] for all heads, and value_gate
    [B, width], d for each head; gives [B, width], the heads side by side, zero for a row without events.

    Raises:
        ModelSettingsError: the heads do not divide the width.

    Source: POSO, arXiv 2108.04690, section 3, on multi-head attention.
    """

    def __init__(self, queries: int, events: int, width: int, heads: int) -> None:
        super().__init__()
        _check_heads(width, heads)
        self.heads = heads
        self.query = nn.Linear(queries, width)
        self.key = nn.Linear(events, width, bias=False)
        self.value = nn.Linear(events, width, bias=False)

    def forward(
        self, x: Tensor, events: Tensor, mask: Tensor, key_gate: Tensor, value_gate: Tensor
    ) -> Tensor:
        query = self.query(x).unflatten(1, (self.heads, -1)) * key_gate.unsqueeze(1)  # [B, heads, d]
        w_k, w_v = (torch.unflatten(of.weight, 0, (self.heads, -1)) for of in (self.key, self.value))
        asked = torch.einsum("bhd,hde->bhe", query, w_k) * query.shape[-1] ** -0.5
        readable = mask | ~mask.any(dim=1, keepdim=True)  # as above
        scores = (asked @ events.transpose(1, 2)).masked_fill(~readable.unsqueeze(1), -torch.inf)
        seen = (scores.softmax(dim=-1) * mask.unsqueeze(1)) @ events  # [B, heads, width of an event]
        return torch.einsum("bhe,hde->bhd", seen, w_v).flatten(1) * value_gate


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise ModelSettingsError(f"{heads} attention heads do not divide a width of {width}; choose others")
