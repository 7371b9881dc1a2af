"""One batch of encoded rows, as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Batch:
    """Encoded rows on one device; B rows, L positions of the recent positives.

    Rows of one user may share their recent positives: sequence, ages and mask then have one row.

    Attributes:
        ids: int64 [B, F_id], indices into each field's table, 0 = unseen or missing.
        numeric: float32 [B, F_num], standardised.
        sequence: int64 [B, L, F_seq], newest first, 0 where padded.
        ages: float32 [B, L], days before the row's event, 0 where padded.
        mask: bool [B, L], True where there is an event.
        scenario: int64 [B], scenario index, 0 = unseen.
        labels: float32 [B, T + A], of the tasks, then of the auxiliary ones; NaN where one is missing;
            empty [B, 0] when scoring.
    """

    ids: torch.Tensor
    numeric: torch.Tensor
    sequence: torch.Tensor
    ages: torch.Tensor
    mask: torch.Tensor
    scenario: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], device: torch.device) -> Batch:
        """A batch of NumPy arrays named like the attributes, moved to `device`.

        Indices travel as they are stored (int32) and become int64 on the device; host memory is pinned
        for a GPU, so that the copy overlaps with the step before.
        """
        tensors = {}
        for name in cls.__slots__:
            tensor = torch.from_numpy(arrays[name])
            if device.type == "cuda":
                tensor = tensor.pin_memory()
            tensor = tensor.to(device, non_blocking=True)
            tensors[name] = tensor.long() if tensor.dtype == torch.int32 else tensor
        return cls(**tensors)

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.ids)


def no_labels(rows: int) -> NDArray[np.float32]:
    """The labels of rows that are only scored, [rows, 0]."""
    return np.empty((rows, 0), dtype=np.float32)
