"""Two processes, started by torchrun, train one model."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.loop import train
from training.models.build import build

# The embedding decay has tables stepped by rows; without it nothing would have sparse gradients.
CONFIG = TrainConfig(
    seed=5, embedding_dim=4, hidden=(16, 8), batch_size=127, epochs=2, embedding_decay=0.01, ema_decay=0.5,
    auxiliary_weight=0.5,
)  # fmt: skip
RUN = """
import sys
from pathlib import Path
import torch
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.distributed import joined, rank
from training.run import run

class Interrupted(Exception): pass

class Breaking(EncodedArrays):
    def shuffled_batches(self, *arguments, **options):
        for number, batch in enumerate(super().shuffled_batches(*arguments, **options)):
            if number == 9:
                raise Interrupted
            yield batch

encoded, folder = map(Path, sys.argv[1:3])
config = TrainConfig.model_validate_json(sys.argv[3])

def start(arrays, name):
    run("pepnet", arrays, folder / name / f"model{rank()}", config, dataset="simulated", licence="none",
        checkpoints=folder / name / "checkpoints", device="cpu", checkpoint_steps=4)

with joined(torch.device("cpu")):  # once for all runs
    start(EncodedArrays(encoded), "undisturbed")
    try:
        start(Breaking(encoded), "continued")
    except Interrupted:
        (folder / f"interrupted{rank()}").touch()
    start(EncodedArrays(encoded), "continued")
"""


@pytest.fixture(scope="module")
def folder(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes leave of an undisturbed run and of one that was interrupted and continued."""
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "run.py").write_text(RUN)
    arguments = [folder / "run.py", encoded, folder, CONFIG.model_dump_json()]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([*command, *map(str, arguments)], env=environment, check=True, timeout=300)
    return folder


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_with_the_same_batches(folder: Path, encoded: Path):
    arrays = EncodedArrays(encoded)
    torch.manual_seed(CONFIG.seed)
    expected = train(build("pepnet", arrays.encoder.spec, CONFIG), arrays, CONFIG, device=torch.device("cpu"))
    with (folder / "undisturbed" / "model0" / "curves.csv").open() as stream:
        found = list(csv.DictReader(stream))
    for row, point in zip(found, expected, strict=True):
        assert float(row["train_loss"]) == pytest.approx(point.train_loss, abs=1e-5)
        assert float(row["validation_loss"]) == pytest.approx(point.validation_loss, abs=1e-5)


@pytest.mark.slow
def test_two_processes_continue_as_if_they_had_never_been_interrupted(folder: Path):
    assert all((folder / f"interrupted{rank}").exists() for rank in (0, 1))
    one, other = (
        (folder / name / "model0" / "hashes.json").read_bytes() for name in ("undisturbed", "continued")
    )
    assert one == other


@pytest.mark.slow
def test_only_the_first_process_writes(folder: Path):
    assert sorted(path.name for path in (folder / "undisturbed").iterdir()) == ["checkpoints", "model0"]
