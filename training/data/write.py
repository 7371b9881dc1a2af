"""Write an encoded training set: memory-mappable arrays, and which of their rows each split has."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.declarations.entities import USER
from training.data.columns import arrow, microseconds
from training.data.encode import DAY_MICROSECONDS, Encoder
from training.data.errors import EncodedDataError
from training.data.spec import EVENT_TIME, InputSpec
from training.sealed import sealed_folder

CHUNK = 65_536
"""Rows encoded at a time, so that memory does not grow with the training set."""

SPLITS = "splits.json"


class DayRange(Protocol):
    """A closed range of UTC days."""

    @property
    def start(self) -> date: ...
    @property
    def end(self) -> date: ...


def write_encoded(
    encoder: Encoder, table: pa.Table, splits: Mapping[str, DayRange], folder: Path, *, source: str
) -> None:
    """Encode a training set into memory-mappable .npy files, one slice of rows for each split.

    Beside the arrays of `Encoded` there are labels (float32 [N, T + A], NaN where missing), user (int32 [N],
    numbers every user, unseen ones too), and day (int32 [N], days since 1970). `splits.json` holds each
    split's rows as [start, stop] and its days, and `source`, the content hash of the partition the rows
    come from. The folder appears whole; equal rows give equal bytes.

    Raises:
        EncodedDataError: the rows are not in order of time, or a split has none.
    """
    instants = microseconds(table[EVENT_TIME])
    if np.any(np.diff(instants) < 0):
        raise EncodedDataError("the training set is not sorted by event_timestamp; assemble it again")
    days = (instants // DAY_MICROSECONDS).astype(np.int32)
    bounds = {name: _rows_of(days, name, split) for name, split in splits.items()}
    users = arrow(table[USER.column]).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    with sealed_folder(folder) as staging:
        encoder.save(staging)
        np.save(staging / "labels.npy", encoded_labels(encoder.spec, table))
        np.save(staging / "user.npy", users.astype(np.int32))
        np.save(staging / "day.npy", days)
        _write_arrays(encoder, table, staging)
        text = json.dumps({"source": source, "splits": bounds}, indent=2)
        (staging / SPLITS).write_text(text + "\n", encoding="utf-8")


def encoded_labels(spec: InputSpec, table: pa.Table) -> NDArray[np.float32]:
    """Labels of the rows, float32 [N, T + A]: of the tasks, then of the auxiliary ones; NaN where missing."""
    outcomes = {
        column: arrow(table[column]).cast(pa.float32()).to_numpy(zero_copy_only=False)
        for column in spec.outcomes
    }
    labels = [outcomes[f"label_{task}"] for task in spec.tasks]
    for field in spec.auxiliaries:
        values = outcomes[field.column]
        reached = (values >= field.at_least).astype(np.float32)
        labels.append(np.where(np.isnan(values), np.float32("nan"), reached))
    return np.stack(labels, axis=1)


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - date(1970, 1, 1)).days


def _write_arrays(encoder: Encoder, table: pa.Table, folder: Path) -> None:
    files: dict[str, NDArray[Any]] = {}
    for start in range(0, table.num_rows, CHUNK):
        chunk = encoder.transform(table.slice(start, CHUNK))
        for field in fields(chunk):
            values = getattr(chunk, field.name)
            if field.name not in files:
                path = folder / f"{field.name}.npy"
                shape = (table.num_rows, *values.shape[1:])
                files[field.name] = np.lib.format.open_memmap(
                    path, mode="w+", dtype=values.dtype, shape=shape
                )
                _take_room(path)
            files[field.name][start : start + len(values)] = values


def _take_room(path: Path) -> None:
    """Have the disk set aside all of a file: on a full one, writing to its mapping would be SIGBUS."""
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _rows_of(days: NDArray[np.int32], name: str, split: DayRange) -> dict[str, Any]:
    first, last = day_number(split.start), day_number(split.end)
    start, stop = (int(row) for row in np.searchsorted(days, [first, last + 1]))
    if start == stop:
        raise EncodedDataError(
            f"the {name} days {split.start}..{split.end} have no rows; check `split` in params.yaml"
        )
    return {"start": start, "stop": stop, "days": [str(split.start), str(split.end)]}
