"""The loss: binary cross entropy per task, over the rows that carry the task's label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def labelled(labels: Tensor) -> Tensor:
    """How many rows carry each task's label, int64 [T]."""
    return (~labels.isnan()).sum(dim=0)


def masked_bce(
    logits: Tensor, labels: Tensor, counts: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Sum over tasks of the mean binary cross entropy over the task's labelled rows.

    A task without a label in the batch adds 0 to the loss and nothing to any gradient.

    Args:
        logits: [B, T]; half precision is computed in the labels' precision.
        labels: [B, T] of 0 and 1, NaN where the label is missing.
        counts: [T], labelled rows to take the mean over where these rows are a part of a batch that
            several processes share; by default those of `labels`.
        weights: [T], of each task in the sum; by default 1.

    Returns:
        A scalar.
    """
    known = ~labels.isnan()
    # The NaN must be gone before the loss is computed: 0 * NaN is NaN, in the gradient too.
    targets = torch.where(known, labels, 0.0)
    losses = F.binary_cross_entropy_with_logits(logits.to(labels.dtype), targets, reduction="none")
    counts = known.sum(dim=0) if counts is None else counts
    means = (losses * known).sum(dim=0) / counts.clamp(min=1)
    return (means if weights is None else means * weights).sum()
