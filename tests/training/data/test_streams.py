from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from tests.training.rows import ASKING, days, training_rows
from training.checkpoint import Checkpoint
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.batch import Batch
from training.data.errors import EncodedDataError
from training.data.streams import ParquetStream
from training.loop import train
from training.models.build import build
from training.watching import Unwatched

CPU = torch.device("cpu")
ROWS = training_rows(ASKING, rows=4000)  # those of the fixture `encoded`


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three files in row groups of 150 rows, so that splits begin within groups and within files."""
    folder = tmp_path_factory.mktemp("parquet")
    paths = [folder / f"{number}.parquet" for number in range(3)]
    for path, start in zip(paths, (0, 1100, 2900), strict=True):
        stop = {0: 1100, 1100: 2900, 2900: 4000}[start]
        pq.write_table(ROWS.slice(start, stop - start), path, row_group_size=150)
    return paths


@pytest.fixture
def stream(files: list[Path], arrays: EncodedArrays) -> ParquetStream:
    return streamed(files, arrays)


def streamed(files: list[Path], arrays: EncodedArrays, buffer: int = 400) -> ParquetStream:
    return ParquetStream(files, arrays.encoder, days(), buffer=buffer, fingerprint="f")


def rows_of(batches: Iterable[Batch]) -> list[bytes]:
    """Each row as the bytes of all its columns."""
    return [
        b"".join(getattr(batch, field.name)[row].numpy().tobytes() for field in fields(batch))
        for batch in batches
        for row in range(len(batch))
    ]


def shuffled(source: ParquetStream, **options) -> list[Batch]:
    return list(source.shuffled_batches("train", 128, CPU, **{"seed": 1, "epoch": 1} | options))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_batches_are_those_of_the_encoded_arrays(stream, arrays, split):
    ours, theirs = (list(source.batches(split, 128, CPU)) for source in (stream, arrays))
    assert stream.rows(split) == arrays.rows(split)
    assert [len(batch) for batch in ours] == [len(batch) for batch in theirs]
    assert rows_of(ours) == rows_of(theirs)


@pytest.mark.parametrize("buffer", [1, 400, 10_000])
def test_shuffled_batches_hold_every_row_once_and_are_full_but_for_the_last(files, arrays, buffer):
    batches = shuffled(streamed(files, arrays, buffer))
    assert sorted(rows_of(batches)) == sorted(rows_of(arrays.batches("train", 128, CPU)))
    assert {len(batch) for batch in batches[:-1]} == {128}


def test_shuffled_batches_mix_the_rows_of_a_buffer_and_differ_by_epoch_and_seed(stream, arrays):
    first, again = rows_of(shuffled(stream)), rows_of(shuffled(stream))
    assert first == again
    assert first != rows_of(shuffled(stream, epoch=2))
    assert first != rows_of(shuffled(stream, seed=2))
    place = {row: number for number, row in enumerate(rows_of(arrays.batches("train", 128, CPU)))}
    groups = {place[row] // 150 for row in first[:128]}
    assert len(groups) > 1


@pytest.mark.parametrize("skip", [1, 3, 4, 15])
def test_shuffled_batches_go_on_after_the_skipped_ones(stream, skip):
    assert rows_of(shuffled(stream, skip=skip)) == rows_of(shuffled(stream)[skip:])


def test_the_parts_of_several_processes_are_the_batch(stream):
    whole = shuffled(stream)
    parts = [shuffled(stream, part=slice(rank, None, 2)) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert sorted(rows_of(shares)) == sorted(rows_of([batch]))


def test_a_stream_refuses_rows_that_are_not_in_order_of_time(arrays, tmp_path):
    path = tmp_path / "unsorted.parquet"
    pq.write_table(ROWS.take([5, 3, 4]), path)
    with pytest.raises(EncodedDataError, match=r"unsorted\.parquet is not sorted"):
        streamed([path], arrays)


class InterruptionError(Exception):
    pass


class Interrupting(Unwatched):
    def __init__(self, batches: int) -> None:
        self.left = batches

    def advanced(self, rows: int) -> None:
        self.left -= rows > 0
        if self.left < 0:
            raise InterruptionError


def fresh(arrays: EncodedArrays, config: TrainConfig) -> nn.Module:
    torch.manual_seed(config.seed)
    return build("pooled_mlp", arrays.encoder.spec, config)


def test_train_on_a_stream_continues_as_if_it_had_never_been_interrupted(stream, arrays, config, tmp_path):
    undisturbed, continued = fresh(arrays, config), fresh(arrays, config)
    expected = train(undisturbed, stream, config, device=CPU)
    options = {"device": CPU, "checkpoint": Checkpoint(tmp_path / "run.pt", "run"), "checkpoint_steps": 5}
    with pytest.raises(InterruptionError):
        train(fresh(arrays, config), stream, config, watcher=Interrupting(23), **options)
    assert train(continued, stream, config, **options) == expected
    one, other = undisturbed.state_dict(), continued.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
