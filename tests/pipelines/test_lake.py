"""Partitions are swapped in whole, by their manifest."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.days import Days
from pipelines.errors import MissingPartitionError
from pipelines.lake import Lake
from pipelines.manifest import MANIFEST
from pipelines.settings import CHECKOUT

DS = date(2026, 1, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def put(lake: Lake, *values: int, ds: date | None = DS) -> None:
    """Publish a partition of `events` that holds `values`, one file each."""
    with lake.staging() as staged:
        for number, value in enumerate(values):
            pq.write_table(pa.table({"value": [value]}), staged / f"{number}.parquet")
        lake.publish("events", ds, staged.glob("*.parquet"), {"raw": "abc"})


def read(lake: Lake) -> list[int]:
    return [value for path in lake.files("events", Days.one(DS)) for value in read_file(path)]


def read_file(path: Path) -> list[int]:
    return pq.read_table(path)["value"].to_pylist()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_published_rows_are_read_back_in_order(lake: Lake) -> None:
    put(lake, 3, 1, 2)
    assert read(lake) == [3, 1, 2]
    assert lake.manifest("events", DS).rows == 3


def test_same_content_gives_identical_bytes(lake: Lake) -> None:
    put(lake, 1, 2)
    before = snapshot(lake.folder("events", DS))
    put(lake, 1, 2)
    assert snapshot(lake.folder("events", DS)) == before


def test_new_content_replaces_the_old_whole(lake: Lake) -> None:
    put(lake, 1, 2)
    put(lake, 9)
    assert read(lake) == [9]
    assert len(list(lake.folder("events", DS).glob("*.parquet"))) == 1


def test_killed_before_the_swap_leaves_the_old_partition(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, 1, 2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.lake.write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            put(lake, 9)
    assert read(lake) == [1, 2]
    put(lake, 9)
    assert read(lake) == [9]
    assert {path.name for path in lake.folder("events", DS).iterdir()} == {
        MANIFEST,
        lake.manifest("events", DS).files[0].name,
    }


def test_staging_is_removed_when_its_writer_fails(lake: Lake) -> None:
    def fail_half_way() -> None:
        with lake.staging() as staged:
            (staged / "half.parquet").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert list((lake.root / "_staging").iterdir()) == []


def test_staging_of_a_killed_process_is_removed_by_the_next(lake: Lake) -> None:
    killed = (
        "import os, pathlib, signal, sys; from pipelines.lake import Lake\n"
        "with Lake(pathlib.Path(sys.argv[1])).staging() as folder:\n"
        "    (folder / 'half.parquet').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", killed, str(lake.root)], cwd=CHECKOUT, check=False)
    assert ended.returncode == -signal.SIGKILL
    shelf = lake.root / "_staging"
    assert len(list(shelf.rglob("half.parquet"))) == 1
    with lake.staging() as first, lake.staging() as second:
        assert first.is_dir(), "a folder in use was taken for an abandoned one"
        assert {path for path in shelf.iterdir() if path.is_dir()} == {first, second}
    assert list(shelf.iterdir()) == []


def test_empty_partition_is_written_and_known(lake: Lake) -> None:
    put(lake)
    assert lake.days("events") == [DS]
    assert lake.manifest("events", DS).rows == 0
    assert lake.files("events", Days.one(DS)) == []


def test_missing_partition_names_the_command_that_writes_it(lake: Lake) -> None:
    with pytest.raises(MissingPartitionError, match="gatehouse ingest --ds 2026-01-01"):
        lake.manifest("events", DS)
    with pytest.raises(MissingPartitionError, match="gatehouse aggregate"):
        lake.manifest("features/user_engagement", DS)


def test_broken_manifest_names_its_file(lake: Lake) -> None:
    put(lake, 1)
    (lake.folder("events", DS) / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(MissingPartitionError, match=r"_manifest\.json is not a manifest"):
        lake.manifest("events", DS)
