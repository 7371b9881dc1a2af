"""One batch of encoded rows, as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Batch:
    """Encoded rows on one device; B rows, L positions of the recent positives.

    Attributes:
        ids: int64 [B, F_id], indices into each field's table, 0 = unseen or missing.
        numeric: float32 [B, F_num], standardised.
        sequence: int64 [B, L, F_seq], newest first, 0 where padded.
        ages: float32 [B, L], days before the row's event, 0 where padded.
        mask: bool [B, L], True where there is an event.
        scenario: int64 [B], scenario index, 0 = unseen.
        labels: float32 [B, T], NaN where a label is missing; empty [B, 0] when scoring.
    """

    ids: torch.Tensor
    numeric: torch.Tensor
    sequence: torch.Tensor
    ages: torch.Tensor
    mask: torch.Tensor
    scenario: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))
