"""A run that is killed with SIGKILL and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import os, signal, sys
from pathlib import Path
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.watching import Unwatched
from training.run import run

class Killing(Unwatched):
    left = int(sys.argv[4])
    def advanced(self, rows):
        self.left -= rows > 0
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

encoded, target, checkpoints = map(Path, sys.argv[1:4])
config = TrainConfig(seed=5, embedding_dim=4, hidden=(16, 8), batch_size=128, epochs=3, id_dropout=0.3)
run("pepnet", EncodedArrays(encoded), target, config, dataset="simulated", licence="none",
    checkpoints=checkpoints, device="cpu", watcher=Killing(), checkpoint_steps=7)
"""


def start(encoded: Path, folder: Path, kill_after: int) -> int:
    arguments = [encoded, folder / "model", folder / "checkpoints", kill_after]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, env=environment, check=False).returncode


@pytest.mark.slow
def test_run_ends_in_the_same_bytes_when_it_was_killed_twice_in_between(encoded: Path, tmp_path: Path):
    assert start(encoded, tmp_path / "undisturbed", kill_after=-1) == 0
    assert start(encoded, tmp_path / "killed", kill_after=11) == -signal.SIGKILL
    assert (tmp_path / "killed" / "checkpoints" / "pepnet.pt").exists()
    assert not (tmp_path / "killed" / "model").exists()
    assert start(encoded, tmp_path / "killed", kill_after=20) == -signal.SIGKILL
    assert start(encoded, tmp_path / "killed", kill_after=-1) == 0
    for name in ("model.safetensors", "curves.csv", "predictions.npy", "hashes.json"):
        killed, undisturbed = (tmp_path / which / "model" / name for which in ("killed", "undisturbed"))
        assert killed.read_bytes() == undisturbed.read_bytes()
