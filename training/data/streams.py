"""A training set that does not fit into memory: its Parquet files, encoded while they are read."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from training.data.batch import Batch
from training.data.columns import microseconds
from training.data.encode import DAY_MICROSECONDS, Encoder
from training.data.errors import EncodedDataError
from training.data.prefetch import prefetched
from training.data.source import WHOLE
from training.data.spec import EVENT_TIME
from training.data.write import DayRange, day_number, encoded_labels

Rows: TypeAlias = dict[str, NDArray[Any]]
"""Encoded rows, named like the attributes of `Batch`."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows `start` to `stop` of a row group: as many of it as lie within a split."""

    file: Path
    group: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class ParquetStream:
    """Batches out of Parquet files in order of time; memory holds two buffers of rows and no more.

    An epoch takes the split's row groups in an order of its own. As many as fill the buffer are encoded
    together, and their rows given out in random order, while a thread encodes the next ones. So the
    epoch's n-th row follows from seed, epoch and n alone: a run that goes on from batch k opens the
    buffer that holds it, and has read nothing that lies before.

    Args:
        files: of one training set, sorted by event time within and over the files.
        encoder: fitted on its training days.
        splits: name to days.
        buffer: rows to shuffle among; a row group that is larger is shuffled whole.
        fingerprint: stands for the contents of the files.

    Raises:
        EncodedDataError: rows are not in order of time, or a split has none.
    """

    def __init__(
        self,
        files: Sequence[Path],
        encoder: Encoder,
        splits: Mapping[str, DayRange],
        *,
        buffer: int,
        fingerprint: str,
    ) -> None:
        self.encoder = encoder
        self.fingerprint = fingerprint
        self.days = {name: (str(split.start), str(split.end)) for name, split in splits.items()}
        self._buffer = buffer
        self._columns = _columns(encoder)
        self._pieces: dict[str, list[_Piece]] = {name: [] for name in splits}
        for file in files:
            with pq.ParquetFile(file) as parquet:
                for group in range(parquet.num_row_groups):
                    for name, piece in _pieces_of(file, parquet, group, splits):
                        self._pieces[name].append(piece)
        for name, pieces in self._pieces.items():
            if not pieces:
                raise EncodedDataError(
                    f"the {name} days {' .. '.join(self.days[name])} have no rows; "
                    "check `split` in params.yaml"
                )

    def rows(self, split: str) -> int:
        """Number of rows of `split`."""
        return sum(map(len, self._pieces[split]))

    def batches(
        self, split: str, size: int, device: torch.device, *, part: slice = WHOLE
    ) -> Generator[Batch]:
        """All rows of `split` in order of time; see `Source`."""
        buffers = (self._encoded([piece]) for piece in self._pieces[split])
        yield from self._batches(buffers, size, device, part)

    def shuffled_batches(
        self, split: str, size: int, device: torch.device, *, seed: int, epoch: int, skip: int = 0,
        part: slice = WHOLE,
    ) -> Generator[Batch]:  # fmt: skip
        """All rows of `split` once, in an order of each epoch's own; see `Source`."""
        buffers = self._shuffled_buffers(split, seed, epoch, skip * size)
        yield from self._batches(buffers, size, device, part)

    def _batches(
        self, buffers: Generator[Rows], size: int, device: torch.device, part: slice
    ) -> Generator[Batch]:
        """The buffers' rows in order, `size` at a time whatever the buffers' own sizes."""
        rest: Rows | None = None  # fewer than `size` rows
        with closing(prefetched(buffers, 1)) as ready:
            for rows in ready:
                taken = 0
                if rest is not None:
                    taken = size - len(rest["ids"])
                    rest = {name: np.concatenate([rest[name], rows[name][:taken]]) for name in rows}
                    if len(rest["ids"]) < size:
                        continue
                    yield _batch(rest, slice(0, size), device, part)
                whole = len(rows["ids"]) - (len(rows["ids"]) - taken) % size
                for start in range(taken, whole, size):
                    yield _batch(rows, slice(start, start + size), device, part)
                rest = {name: values[whole:] for name, values in rows.items()}
                rest = rest if len(rest["ids"]) else None
        if rest is not None:
            yield _batch(rest, slice(0, size), device, part)

    def _shuffled_buffers(self, split: str, seed: int, epoch: int, skip: int) -> Generator[Rows]:
        """The epoch's buffers, each in its random order, without the epoch's first `skip` rows."""
        pieces = self._pieces[split]
        order = [pieces[index] for index in np.random.default_rng([seed, epoch]).permutation(len(pieces))]
        for number, together in enumerate(_filling(order, self._buffer)):
            count = sum(map(len, together))
            if skip < count:
                shuffled = np.random.default_rng([seed, epoch, number]).permutation(count)[skip:]
                rows = self._encoded(together)
                yield {name: values[shuffled] for name, values in rows.items()}
            skip = max(0, skip - count)

    def _encoded(self, pieces: Sequence[_Piece]) -> Rows:
        table = pa.concat_tables(self._read(piece) for piece in pieces)
        encoded = self.encoder.transform(table)
        rows = {field.name: getattr(encoded, field.name) for field in fields(encoded)}
        return rows | {"labels": encoded_labels(self.encoder.spec, table)}

    def _read(self, piece: _Piece) -> pa.Table:
        with pq.ParquetFile(piece.file) as parquet:
            rows = parquet.read_row_group(piece.group, columns=self._columns)
        return rows.slice(piece.start, len(piece))


def _batch(rows: Rows, taken: slice, device: torch.device, part: slice) -> Batch:
    return Batch.of({name: values[taken][part] for name, values in rows.items()}, device)


def _filling(pieces: Sequence[_Piece], buffer: int) -> Iterator[list[_Piece]]:
    """Pieces that follow each other, in lists of at least one piece and otherwise at most `buffer` rows."""
    together: list[_Piece] = []
    for piece in pieces:
        if together and sum(map(len, together)) + len(piece) > buffer:
            yield together
            together = []
        together.append(piece)
    if together:
        yield together


def _columns(encoder: Encoder) -> list[str]:
    spec = encoder.spec
    columns = {
        EVENT_TIME,
        *(field.column for field in spec.ids),
        *(field.column for field in spec.numerics),
        *(field.column for field in spec.sequences),
        *spec.outcomes,
    }
    return sorted(columns if spec.ages is None else columns | {spec.ages})


def _pieces_of(
    file: Path, parquet: pq.ParquetFile, group: int, splits: Mapping[str, DayRange]
) -> Iterator[tuple[str, _Piece]]:
    """The piece of a row group that each split has in it, if any."""
    days = _days(file, parquet, group)
    for name, split in splits.items():
        bounds = [day_number(split.start), day_number(split.end) + 1]
        start, stop = (int(row) for row in np.searchsorted(days, bounds))
        if start < stop:
            yield name, _Piece(file, group, start, stop)


def _days(file: Path, parquet: pq.ParquetFile, group: int) -> NDArray[np.int64]:
    """The day of each row of a row group, ascending; 8 bytes a row, for the time of the call."""
    instants = microseconds(parquet.read_row_group(group, columns=[EVENT_TIME])[EVENT_TIME])
    if np.any(np.diff(instants) < 0):
        raise EncodedDataError(f"{file} is not sorted by {EVENT_TIME}; assemble the training set again")
    days: NDArray[np.int64] = instants // DAY_MICROSECONDS
    return days
