from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.sealed import SealError, fingerprint, sealed_folder, verify


def write(folder: Path, text: str) -> None:
    with sealed_folder(folder) as staging:
        (staging / "data.txt").write_text(text)


def test_sealed_folder_replaces_the_old_one_whole(tmp_path: Path):
    write(tmp_path / "out", "old")
    before = fingerprint(tmp_path / "out")
    write(tmp_path / "out", "new")
    verify(tmp_path / "out")
    assert (tmp_path / "out" / "data.txt").read_text() == "new"
    assert fingerprint(tmp_path / "out") != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_sealed_folder_keeps_the_old_one_when_the_block_fails(tmp_path: Path):
    write(tmp_path / "out", "old")
    with pytest.raises(FileNotFoundError), sealed_folder(tmp_path / "out") as staging:
        (staging / "absent" / "data.txt").write_text("half")
    assert (tmp_path / "out" / "data.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_verify_names_the_changed_file(tmp_path: Path):
    write(tmp_path / "out", "text")
    (tmp_path / "out" / "data.txt").write_text("tampered")
    with pytest.raises(SealError, match=r"data\.txt is not the file"):
        verify(tmp_path / "out")


def test_verify_names_the_missing_file(tmp_path: Path):
    write(tmp_path / "out", "text")
    (tmp_path / "out" / "data.txt").unlink()
    with pytest.raises(SealError, match=r"data\.txt is missing"):
        verify(tmp_path / "out")


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"../secret": "00"})])
def test_verify_refuses_a_list_of_hashes_that_is_not_one(tmp_path: Path, content: str):
    write(tmp_path / "out", "text")
    (tmp_path / "out" / "hashes.json").write_text(content)
    with pytest.raises(SealError):
        verify(tmp_path / "out")


def test_verify_refuses_a_folder_without_hashes(tmp_path: Path):
    with pytest.raises(SealError, match=r"no hashes\.json"):
        verify(tmp_path)
