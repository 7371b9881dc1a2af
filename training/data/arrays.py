"""A training set's encoded arrays, memory-mapped, and batches gathered from them."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.batch import Batch
from training.data.encode import Encoder
from training.data.errors import EncodedDataError
from training.data.source import WHOLE
from training.data.write import SPLITS
from training.sealed import SealError, fingerprint

_GATHERED = ("ids", "numeric", "sequence", "ages", "mask", "scenario", "labels")
_DESCRIBING = ("user", "day")


class EncodedArrays:
    """What `write_encoded` wrote, opened without reading it.

    Attributes:
        encoder: what the rows were encoded with.
        fingerprint: 16 hex digits that stand for all of the folder's contents.
        source: content hash of the training-set partition the rows come from.
        days: split name to its first and last day, ISO text.

    Raises:
        EncodedDataError: the folder is missing or not whole.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self.fingerprint = fingerprint(folder)
            self.encoder = Encoder.load(folder)
            written = json.loads((folder / SPLITS).read_bytes())
            # Copy-on-write, because torch wants writable memory; nothing ever writes to it.
            self._arrays: dict[str, NDArray[Any]] = {
                name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)
                for name in (*_GATHERED, *_DESCRIBING)
            }
        except (SealError, OSError, ValueError) as error:
            raise EncodedDataError(
                f"{folder} does not hold a training set's encoded arrays ({error}); run `gatehouse assemble`"
            ) from error
        self.source: str = written["source"]
        splits = written["splits"]
        self.days: dict[str, tuple[str, str]] = {name: tuple(rows["days"]) for name, rows in splits.items()}
        self._splits = {name: slice(rows["start"], rows["stop"]) for name, rows in splits.items()}

    def column(self, name: str, split: str) -> NDArray[Any]:
        """The rows of array `name` (for example "user" or "day") that belong to `split`.

        Of "labels" they are [N, T], those of the tasks; batches have those of the auxiliary tasks as well.
        """
        column = self._arrays[name][self._splits[split]]
        return column[:, : len(self.encoder.spec.tasks)] if name == "labels" else column

    def span(self, split: str) -> tuple[int, int]:
        """First row of `split` in the training set, and the first one after it."""
        rows = self._splits[split]
        return rows.start, rows.stop

    def rows(self, split: str) -> int:
        """Number of rows of `split`."""
        return len(self.column("ids", split))

    def batches(
        self, split: str, size: int, device: torch.device, *, part: slice = WHOLE
    ) -> Generator[Batch]:
        """All rows of `split` in order of time, `size` at a time; the last batch may be smaller."""
        for start in range(0, self.rows(split), size):
            rows = range(start, min(start + size, self.rows(split)))[part]
            yield self._batch(split, slice(rows.start, rows.stop, rows.step), device)

    def shuffled_batches(
        self, split: str, size: int, device: torch.device, *, seed: int, epoch: int, skip: int = 0,
        part: slice = WHOLE,
    ) -> Generator[Batch]:  # fmt: skip
        """All rows of `split` once, in an order of each epoch's own; see `Source`."""
        order = np.random.default_rng([seed, epoch]).permutation(self.rows(split))
        for start in range(skip * size, len(order), size):
            # One vectorised gather an array; NumPy's is several times faster than torch's on rows this wide.
            yield self._batch(split, order[start : start + size][part], device)

    def _batch(self, split: str, rows: slice | NDArray[np.int64], device: torch.device) -> Batch:
        own = self._splits[split]
        return Batch.of({name: self._arrays[name][own][rows] for name in _GATHERED}, device)
