from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features import files
from features.files import sole_owner, swap, write_whole


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "a").write_text(text)
    return path


def test_write_whole_takes_away_the_draft_of_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / ".note.json.draft").write_bytes(b"much longer than what is written now, and cut o")
    write_whole(tmp_path / "note.json", b"new")
    assert (tmp_path / "note.json").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["note.json"]


def test_write_whole_leaves_one_of_many_contents_when_many_write_at_once(tmp_path: Path) -> None:
    contents = [bytes([number]) * 10_000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_whole(tmp_path / "note", content), contents))
    assert (tmp_path / "note").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_sole_owner_refuses_who_does_not_wait_and_lets_the_next_one_in(tmp_path: Path) -> None:
    with sole_owner(tmp_path / "lock"):
        with pytest.raises(BlockingIOError), sole_owner(tmp_path / "lock", wait=False):
            pass
        assert (tmp_path / "lock").exists()
    with sole_owner(tmp_path / "lock", wait=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_swap_exchanges_two_folders_in_one_step(tmp_path: Path) -> None:
    new, old = folder(tmp_path / "new", "n"), folder(tmp_path / "old", "o")
    numbers = new.stat().st_ino, old.stat().st_ino
    swap(new, old)
    assert (old.stat().st_ino, new.stat().st_ino) == numbers
    assert ((old / "a").read_text(), (new / "a").read_text()) == ("n", "o")


def test_swap_ends_alike_when_names_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    swap(folder(tmp_path / "new", "n"), folder(tmp_path / "old", "o"))
    assert ((tmp_path / "old" / "a").read_text(), (tmp_path / "new" / "a").read_text()) == ("n", "o")


def test_swap_moves_the_folder_where_there_is_none_yet(tmp_path: Path) -> None:
    swap(folder(tmp_path / "new", "n"), tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
