from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.arrays import EncodedArrays
from training.data.errors import EncodedDataError

CPU = torch.device("cpu")


def row_keys(arrays: EncodedArrays, split: str) -> list[bytes]:
    return sorted(row.tobytes() for row in arrays.column("numeric", split))


def gathered(batches) -> list[bytes]:
    return [row.numpy().tobytes() for batch in batches for row in batch.numeric]


def test_batches_are_the_rows_of_the_split_in_order(arrays: EncodedArrays):
    batches = list(arrays.batches("test", 100, CPU))
    assert torch.equal(
        torch.cat([b.ids for b in batches]), torch.from_numpy(arrays.column("ids", "test")).long()
    )
    assert [len(batch) for batch in batches[:-1]] == [100] * (len(batches) - 1)
    assert sum(len(batch) for batch in batches) == arrays.rows("test")


def test_shuffled_batches_hold_every_row_of_the_split_once(arrays: EncodedArrays):
    shuffled = gathered(arrays.shuffled_batches("train", 100, CPU, seed=1, epoch=1))
    assert sorted(shuffled) == row_keys(arrays, "train")
    assert shuffled != gathered(arrays.batches("train", 100, CPU))


def test_shuffled_batches_keep_the_columns_of_a_row_together(arrays: EncodedArrays, encoded: Path):
    train = slice(*arrays.span("train"))
    columns = (np.load(encoded / f"{name}.npy")[train] for name in ("numeric", "ids", "labels"))
    rows = {
        row.tobytes(): (ids.tolist(), labels.tobytes()) for row, ids, labels in zip(*columns, strict=True)
    }
    for batch in arrays.shuffled_batches("train", 300, CPU, seed=1, epoch=1):
        for row, ids, labels in zip(batch.numeric, batch.ids, batch.labels, strict=True):
            assert rows[row.numpy().tobytes()] == (ids.tolist(), labels.numpy().tobytes())


def test_shuffled_batches_depend_on_seed_and_epoch_only(arrays: EncodedArrays):
    def order(seed: int, epoch: int) -> list[bytes]:
        return gathered(arrays.shuffled_batches("train", 100, CPU, seed=seed, epoch=epoch))

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_shuffled_batches_go_on_after_the_skipped_ones(arrays: EncodedArrays):
    whole = list(arrays.shuffled_batches("train", 100, CPU, seed=1, epoch=2))
    rest = list(arrays.shuffled_batches("train", 100, CPU, seed=1, epoch=2, skip=4))
    assert gathered(rest) == gathered(whole[4:])


def test_arrays_say_what_to_run_when_there_are_none(tmp_path: Path):
    with pytest.raises(EncodedDataError, match="gatehouse assemble"):
        EncodedArrays(tmp_path / "absent")


def test_arrays_refuse_pickled_objects(encoded: Path, tmp_path: Path):
    folder = shutil.copytree(encoded, tmp_path / "copy")
    np.save(folder / "ids.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(EncodedDataError):
        EncodedArrays(folder)


def test_fingerprint_changes_with_the_data(encoded: Path, tmp_path: Path):
    folder = shutil.copytree(encoded, tmp_path / "copy")
    assert EncodedArrays(folder).fingerprint == EncodedArrays(encoded).fingerprint
    hashes = json.loads((folder / "hashes.json").read_text())
    (folder / "hashes.json").write_text(json.dumps(hashes | {"ids.npy": "0" * 64}))
    assert EncodedArrays(folder).fingerprint != EncodedArrays(encoded).fingerprint
