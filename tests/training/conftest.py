"""Encoded arrays of a small training set with a planted signal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.training.rows import ASKING, days, training_rows
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.fit import fit
from training.data.write import write_encoded


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Steps this small only lose by being shared out, most of all while other work runs."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 4,000 encoded rows: two training days, one validation day, one test day."""
    rows = training_rows(ASKING, rows=4000)
    folder = tmp_path_factory.mktemp("encoded") / "ranker_v1"
    write_encoded(fit(ASKING, "ranker_v1", rows.slice(0, 2000)), rows, days(), folder, source="abc")
    return folder


@pytest.fixture
def arrays(encoded: Path) -> EncodedArrays:
    return EncodedArrays(encoded)


@pytest.fixture
def config() -> TrainConfig:
    """A run of a second."""
    return TrainConfig(
        seed=3, embedding_dim=4, hidden=(16, 8), batch_size=128, epochs=3, patience=3, lr=0.01, id_dropout=0.2
    )
