from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.data.arrays import EncodedArrays
from training.metrics import auc
from training.yardstick import boosted_predictions


def test_boosted_predictions_find_the_planted_signal(arrays: EncodedArrays):
    predictions = boosted_predictions(arrays, seed=1)
    assert predictions.shape == arrays.column("labels", "test").shape
    assert auc(arrays.column("labels", "test")[:, 0], predictions[:, 0]) > 0.6


def test_boosted_predictions_are_the_same_when_run_twice(arrays: EncodedArrays):
    assert np.array_equal(boosted_predictions(arrays, seed=1), boosted_predictions(arrays, seed=1))


def test_boosted_predictions_do_not_read_test_labels(encoded: Path):
    honest, blinded = EncodedArrays(encoded), EncodedArrays(encoded)
    blinded.column("labels", "test")[:] = 0.0  # copy-on-write: the file keeps its labels
    assert np.array_equal(boosted_predictions(honest, seed=1), boosted_predictions(blinded, seed=1))


def test_boosted_predictions_are_the_rate_when_training_has_one_class(encoded: Path):
    arrays = EncodedArrays(encoded)
    arrays.column("labels", "train")[:, 1] = 0.0
    predictions = boosted_predictions(arrays, seed=1)
    assert not predictions[:, 1].any()
    assert predictions[:, 0].std() > 0.01


BOTH = """
import sys
from pathlib import Path
import torch
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.run import run
from training.yardstick import boosted_predictions

arrays = EncodedArrays(Path(sys.argv[1]))
config = TrainConfig(embedding_dim=4, hidden=(8,), batch_size=512, epochs=1)
for turn in ("one", "two"):
    run("pooled_mlp", arrays, Path(sys.argv[2]) / turn, config, dataset="simulated", licence="none",
        checkpoints=Path(sys.argv[2]), device="cpu")
    boosted_predictions(arrays, 1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["torch", "lightgbm"])
def test_torch_and_lightgbm_share_a_process_whichever_is_loaded_first(
    encoded: Path, tmp_path: Path, first: str
):
    """Both bring an OpenMP runtime. With two threads each, a clash would hang or crash here."""
    subprocess.run(
        [sys.executable, "-c", f"import {first}\n{BOTH}", str(encoded), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "2"}, check=True, timeout=300,
    )  # fmt: skip
    one, two = (tmp_path / turn / "model.safetensors" for turn in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
