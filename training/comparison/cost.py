"""What scoring a row costs a network."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from training.data.arrays import EncodedArrays
from training.models.base import Ranker

ROWS = 1024
"""Rows of the batch that is counted: what a model computes once a batch is shared among them."""


def flops_per_row(model: Ranker, arrays: EncodedArrays, device: torch.device) -> float:
    """Floating-point operations of the matrix products of scoring a row, two for each multiply-add.

    Counted on a batch of the first test rows; look-ups and elementwise operations are left out.
    """
    batch = next(arrays.batches("test", ROWS, device))
    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(batch)
    model.train(training)
    return float(counter.get_total_flops()) / len(batch)
