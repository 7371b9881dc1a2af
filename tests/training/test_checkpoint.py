from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from training.checkpoint import Checkpoint, identity_of
from training.errors import BusyError


def test_load_gives_back_the_newest_state(tmp_path: Path):
    checkpoint = Checkpoint(tmp_path / "deep" / "run.pt", "a")
    assert checkpoint.load() is None
    checkpoint.save({"weights": torch.arange(3), "step": 1})
    checkpoint.save({"weights": torch.arange(4), "step": 2})
    state = checkpoint.load()
    assert state["step"] == 2
    assert torch.equal(state["weights"], torch.arange(4))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run.pt"]


def test_load_ignores_the_state_of_another_run(tmp_path: Path):
    Checkpoint(tmp_path / "run.pt", "a").save({"step": 1})
    assert Checkpoint(tmp_path / "run.pt", "b").load() is None


def test_load_ignores_a_damaged_file(tmp_path: Path):
    checkpoint = Checkpoint(tmp_path / "run.pt", "a")
    checkpoint.save({"weights": torch.arange(1000), "step": 1})
    whole = (tmp_path / "run.pt").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 10):
        (tmp_path / "run.pt").write_bytes(whole[:size])
        assert checkpoint.load() is None


class Touching:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))]
)
def test_load_runs_no_code_of_the_file(tmp_path: Path, write):
    write({"identity": "a", "state": Touching(tmp_path / "touched")}, tmp_path / "run.pt")
    assert Checkpoint(tmp_path / "run.pt", "a").load() is None
    assert not (tmp_path / "touched").exists()


def test_identity_changes_with_any_fact():
    facts = {"config": {"lr": 0.1}, "data": "abc"}
    assert identity_of(**facts) == identity_of(data="abc", config={"lr": 0.1})
    assert identity_of(**facts) != identity_of(**facts | {"data": "abd"})
    assert identity_of(**facts) != identity_of(**facts | {"config": {"lr": 0.2}})


def test_owned_refuses_a_second_process_and_leaves_nothing_behind(tmp_path: Path):
    checkpoint = Checkpoint(tmp_path / "run.pt", "a")
    with checkpoint.owned(), pytest.raises(BusyError, match=r"run\.pt"), checkpoint.owned():
        pass
    with checkpoint.owned():
        pass
    assert list(tmp_path.iterdir()) == []
