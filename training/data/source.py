"""What the training loop asks of the rows it trains on."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import torch

from training.data.batch import Batch
from training.data.encode import Encoder

WHOLE = slice(None)


class Source(Protocol):
    """Encoded rows in named splits, a batch at a time."""

    def rows(self, split: str) -> int:
        """Number of rows of `split`."""
        ...

    def batches(
        self, split: str, size: int, device: torch.device, *, part: slice = WHOLE
    ) -> Generator[Batch]:
        """All rows of `split` in order of time, `size` at a time; the last batch may be smaller.

        Args:
            split: name of the split.
            size: rows per batch.
            device: where the tensors go.
            part: of each batch's rows, those to give; where several processes share a batch.
        """
        ...

    def shuffled_batches(
        self, split: str, size: int, device: torch.device, *, seed: int, epoch: int, skip: int = 0,
        part: slice = WHOLE,
    ) -> Generator[Batch]:  # fmt: skip
        """All rows of `split` once, in an order that depends on `seed` and `epoch` only.

        Args:
            split: name of the split.
            size: rows per batch; the last one may be smaller.
            device: where the tensors go.
            seed: of the run.
            epoch: every epoch has an order of its own.
            skip: batches to leave out at the start, when a run goes on where it was interrupted.
            part: of each batch's rows, those to give; where several processes share a batch.
        """
        ...


class TrainingSet(Source, Protocol):
    """A source that says what it is.

    Attributes:
        encoder: what the rows were encoded with.
        fingerprint: stands for all of its contents.
        days: split name to its first and last day, ISO text.
    """

    encoder: Encoder
    fingerprint: str
    days: dict[str, tuple[str, str]]
