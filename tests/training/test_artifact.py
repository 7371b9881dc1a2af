from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.settings import CHECKOUT
from tests.training.rows import ASKING, training_rows
from training.artifact import load_model
from training.card import read_card
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.devices import find_device
from training.errors import ArtifactError
from training.run import run
from training.score import BATCH_SIZE, encoded_batches, score
from training.sealed import SealError, sealed_folder

CPU = find_device("cpu")


@pytest.fixture(scope="module")
def trained(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "pepnet"
    config = TrainConfig(
        embedding_dim=4, hidden=(8,), batch_size=512, epochs=2, models={"pepnet": {}, "m2m": {"depth": 9}}
    )
    checkpoints = folder.parent / "checkpoints"
    run(
        "pepnet",
        EncodedArrays(encoded),
        folder,
        config,
        dataset="simulated",
        licence="none",
        checkpoints=checkpoints,
    )
    assert not any(checkpoints.iterdir()), "the checkpoint outlives the run"
    return folder


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "copy")


def test_load_model_scores_exactly_as_it_did_when_it_was_trained(trained: Path, arrays: EncodedArrays):
    model, _ = load_model(trained)
    assert not model.training
    predictions = np.load(trained / "predictions.npy")
    assert predictions.dtype == np.float32
    assert np.array_equal(score(model, arrays.batches("test", BATCH_SIZE, CPU)), predictions)


def test_load_model_scores_raw_columns_with_its_own_encoder(trained: Path, arrays: EncodedArrays):
    model, encoder = load_model(trained)
    assert encoder == arrays.encoder
    rows = training_rows(ASKING, rows=4000).slice(4000 - arrays.rows("test"))
    scores = score(model, encoded_batches(encoder.transform(rows), CPU, size=100))
    np.testing.assert_allclose(scores, np.load(trained / "predictions.npy"), atol=1e-6)


def test_write_model_gives_equal_bytes_when_run_twice(trained: Path, encoded: Path, tmp_path: Path):
    config = TrainConfig(embedding_dim=4, hidden=(8,), batch_size=512, epochs=2)
    run(
        "pepnet", EncodedArrays(encoded), tmp_path / "again", config,
        dataset="simulated", licence="none", checkpoints=tmp_path / "checkpoints",
    )  # fmt: skip
    assert (tmp_path / "again" / "hashes.json").read_bytes() == (trained / "hashes.json").read_bytes()


def test_model_json_has_all_settings_of_the_model_and_none_of_others(trained: Path):
    models = json.loads((trained / "model.json").read_text())["config"]["models"]
    assert models == {"pepnet": {"gate_hidden": 64}}


def test_a_fresh_process_scores_rows_with_nothing_but_the_folder(copy: Path, arrays: EncodedArrays):
    rows = training_rows(ASKING, rows=4000).slice(4000 - arrays.rows("test"))
    columns = load_model(copy)[1].spec.columns
    pq.write_table(rows.select(list(columns)), copy.parent / "rows.parquet")
    script = """
import sys
from pathlib import Path
import numpy as np, pyarrow.parquet as pq
from training.artifact import load_model
from training.score import score_rows
model, encoder = load_model(Path("copy"))
np.save("scores.npy", score_rows(model, encoder.transform(pq.read_table("rows.parquet"))))
assert not [name for name in sys.modules if name.startswith(("pipelines", "features.declarations.simulated"))]
"""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    subprocess.run([sys.executable, "-c", script], cwd=copy.parent, env=environment, check=True)
    expected = np.load(copy / "predictions.npy")
    np.testing.assert_allclose(np.load(copy.parent / "scores.npy"), expected, rtol=0, atol=1e-6)


def test_curves_have_a_line_an_epoch_with_the_auc_of_each_task(trained: Path):
    lines = list(csv.DictReader((trained / "curves.csv").open()))
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert set(lines[0]) == {"epoch", "step", "train_loss", "validation_loss", "auc_click", "auc_like"}


def test_card_tells_days_rows_and_the_epoch_that_was_kept(trained: Path, arrays: EncodedArrays):
    card = read_card(trained)
    assert card.rows == {split: arrays.rows(split) for split in ("train", "validation", "test")}
    assert card.days["test"] == ("2026-01-04", "2026-01-04")
    assert card.data == arrays.fingerprint
    text = (trained / "card.md").read_text()
    assert "2026-01-01 .. 2026-01-02" in text
    assert f"is number {card.best_epoch}." in text


def test_load_model_names_the_file_that_was_altered(copy: Path):
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(SealError, match=r"model\.safetensors"):
        load_model(copy)


@pytest.mark.parametrize("name", ["weights.pkl", "model.pt", "code.py"])
def test_load_model_refuses_a_file_that_could_carry_code(copy: Path, name: str):
    (copy / name).write_bytes(pickle.dumps([1]))
    with pytest.raises(ArtifactError, match="refused"):
        load_model(copy)


def test_load_model_refuses_weights_of_another_shape(copy: Path, tmp_path: Path):
    description = json.loads((copy / "model.json").read_text())
    description["config"]["hidden"] = [9]
    with sealed_folder(tmp_path / "mixed") as staging:
        for path in copy.iterdir():
            shutil.copy(path, staging)
        (staging / "hashes.json").unlink()
        (staging / "model.json").write_text(json.dumps(description))
    with pytest.raises(ArtifactError, match="size mismatch"):
        load_model(tmp_path / "mixed")


def test_load_model_says_so_when_there_is_no_model(tmp_path: Path):
    with pytest.raises(SealError, match="not there"):
        load_model(tmp_path / "absent")
