"""The disk is full, or may not be written: a clear error, and old data intact."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.commands import Nursery, Steps, drawn
from tests.chaos.faults import Chaos, Fault, NotInjectedError
from tests.chaos.retraining import MODEL, Retraining, model_of
from tests.chaos.states import files_of, sealed_state

FULL = Fault(
    "train finds the disk full",
    "a clear error and a whole model, old or new; once there is room, the weights are equal to the bit",
)
READ_ONLY = Fault("train may not write its home", "a clear error, and no file is changed")


def test_old_model_stays_and_the_error_is_clear_when_the_disk_is_full(
    chaos: Chaos, nursery: Nursery, retraining: Retraining, tmp_path: Path
) -> None:
    def fill(numbers: random.Random) -> None:
        settings = retraining.copy(tmp_path / "home")
        home = settings.home
        try:
            at = drawn(numbers, retraining.steps)
            starved = nursery.start_until(home, "train", MODEL, steps=Steps(home), at=at, action="full")
            if starved.wait() == 0:
                raise NotInjectedError
            require_clear(starved.said, "No space left on device")
            assert sealed_state(model_of(settings)) in retraining.states
            again = nursery.start(home, "train", MODEL)
            assert again.wait() == 0, again.said
            assert files_of(home, ["models"]) == retraining.new
        finally:
            shutil.rmtree(home)

    chaos.inject(FULL, fill)


def test_nothing_is_changed_and_the_error_is_clear_when_the_home_may_not_be_written(
    chaos: Chaos, nursery: Nursery, retraining: Retraining, tmp_path: Path
) -> None:
    settings = retraining.copy(tmp_path / "home")
    before = files_of(settings.home, ["."])

    def refuse(numbers: random.Random) -> None:
        with read_only(settings.home):
            refused = nursery.start(settings.home, "train", MODEL)
            assert refused.wait() != 0
        require_clear(refused.said, "Read-only file system", "Permission denied")
        assert files_of(settings.home, ["."]) == before

    chaos.inject(READ_ONLY, refuse)


def require_clear(said: str, *reasons: str) -> None:
    """Insist on an error in one line that names the reason, instead of a traceback."""
    assert "Traceback" not in said, said
    assert "error: " in said, said
    assert any(reason in said for reason in reasons), said


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write below `folder`; for root, whom modes do not stop, by a mount."""
    if os.geteuid() == 0:
        mounted = subprocess.run(
            ["mount", "--bind", str(folder), str(folder)], check=False, capture_output=True
        )
        if mounted.returncode != 0:
            pytest.skip(f"no folder can be made read-only here: {mounted.stderr.decode().strip()}")
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
