from __future__ import annotations

import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from features.declarations.catalog import AuxiliaryTask
from features.declarations.simulated import CATALOG, DWELL_SECONDS
from tests.training.rows import days, training_rows
from training.data.arrays import EncodedArrays
from training.data.errors import EncodedDataError, EncodingError
from training.data.fit import fit
from training.data.write import write_encoded

ROWS = training_rows(CATALOG, rows=600)
ENCODER = fit(CATALOG, "ranker_v1", ROWS.slice(0, 300))


def test_write_encoded_writes_slices_that_hold_exactly_the_days_of_their_split(tmp_path: Path):
    write_encoded(ENCODER, ROWS, days(), tmp_path / "encoded", source="abc")
    splits = json.loads((tmp_path / "encoded" / "splits.json").read_text())["splits"]
    day = np.load(tmp_path / "encoded" / "day.npy")
    first = (days()["train"].start - days()["train"].start.replace(year=1970, month=1, day=1)).days
    assert [splits[name]["start"] for name in splits] == [
        0,
        splits["train"]["stop"],
        splits["validation"]["stop"],
    ]
    assert splits["test"]["stop"] == ROWS.num_rows
    assert set(day[splits["test"]["start"] :]) == {first + 3}
    assert set(day[: splits["train"]["stop"]]) == {first, first + 1}


def test_write_encoded_keeps_missing_labels_as_nan(tmp_path: Path):
    write_encoded(ENCODER, ROWS, days(), tmp_path / "encoded", source="abc")
    labels = np.load(tmp_path / "encoded" / "labels.npy")
    expected = ROWS["label_like"].to_pylist()
    assert [None if math.isnan(value) else int(value) for value in labels[:, 1]] == expected


def test_labels_of_auxiliary_tasks_follow_those_of_the_tasks(tmp_path: Path):
    auxiliaries = (
        AuxiliaryTask("dwelt", DWELL_SECONDS, at_least=1.0),
        AuxiliaryTask("dwelt_long", DWELL_SECONDS, at_least=2.0),
    )
    catalog = replace(CATALOG, auxiliaries=auxiliaries)
    rows = training_rows(catalog, rows=600)
    seconds = pa.array([1.0, 0.999, None, 2.0, *rows[DWELL_SECONDS.name].to_pylist()[4:]], pa.float32())
    place = rows.schema.get_field_index(DWELL_SECONDS.name)
    rows = rows.set_column(place, DWELL_SECONDS.name, seconds)
    encoder = fit(catalog, "ranker_v1", rows.slice(0, 300))
    assert DWELL_SECONDS.name not in encoder.spec.columns  # an outcome: asked for at no look-up
    write_encoded(encoder, rows, days(), tmp_path / "encoded", source="abc")

    arrays = EncodedArrays(tmp_path / "encoded")
    assert arrays.column("labels", "train").shape[1] == len(CATALOG.tasks)
    batch = next(arrays.batches("train", 600, torch.device("cpu")))
    np.testing.assert_array_equal(batch.labels[:, :-2], arrays.column("labels", "train"))
    expected = [[1.0, 0.0], [0.0, 0.0], [math.nan, math.nan], [1.0, 1.0]]
    np.testing.assert_array_equal(batch.labels[:4, -2:], expected)


def test_write_encoded_numbers_users_apart_even_when_the_vocabulary_has_not_seen_them(tmp_path: Path):
    rows = ROWS.set_column(2, "user_id", pa.array([f"new{i % 9}" for i in range(ROWS.num_rows)]))
    write_encoded(ENCODER, rows, days(), tmp_path / "encoded", source="abc")
    assert len(np.unique(np.load(tmp_path / "encoded" / "user.npy"))) == 9


def test_write_encoded_gives_equal_bytes_when_run_twice_and_in_small_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_encoded(ENCODER, ROWS, days(), tmp_path / "one", source="abc")
    monkeypatch.setattr("training.data.write.CHUNK", 37)
    write_encoded(ENCODER, ROWS, days(), tmp_path / "two", source="abc")
    assert (tmp_path / "one" / "hashes.json").read_bytes() == (tmp_path / "two" / "hashes.json").read_bytes()


def test_write_encoded_leaves_the_old_arrays_when_it_fails(tmp_path: Path):
    folder = tmp_path / "encoded"
    write_encoded(ENCODER, ROWS, days(), folder, source="abc")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(EncodingError):
        write_encoded(ENCODER, ROWS.drop_columns(["hour"]), days(), folder, source="abc")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["encoded"]


def test_write_encoded_is_refused_room_by_an_error_before_it_writes_through_a_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without it a full disk is SIGBUS, which no Python code can tell of."""
    room: list[int] = []

    def full(file: int, start: int, size: int) -> None:
        assert start == 0
        room.append(size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        write_encoded(ENCODER, ROWS, days(), tmp_path / "encoded", source="abc")
    assert room > [4 * ROWS.num_rows]
    assert list(tmp_path.iterdir()) == []


def test_write_encoded_refuses_rows_out_of_order(tmp_path: Path):
    with pytest.raises(EncodedDataError, match="not sorted"):
        write_encoded(
            ENCODER, ROWS.take(list(range(ROWS.num_rows))[::-1]), days(), tmp_path / "encoded", source="abc"
        )


def test_write_encoded_refuses_a_split_without_rows(tmp_path: Path):
    with pytest.raises(EncodedDataError, match="test days"):
        write_encoded(ENCODER, ROWS.slice(0, 400), days(), tmp_path / "encoded", source="abc")
