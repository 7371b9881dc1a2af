"""Self-attention along the sequence axis: rows of a batch never see each other."""

from __future__ import annotations

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
        if width % heads:
            raise ModelSettingsError(
                f"{heads} attention heads do not divide a width of {width}; choose others"
            )
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
