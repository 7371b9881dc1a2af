from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipelines.errors import NotValidatedError
from pipelines.lake import Lake
from pipelines.model_files import verified_digest
from pipelines.settings import Settings
from pipelines.train import train
from pipelines.training_sets import encoded_folder, training_set
from pipelines.verdicts import verdict_path
from tests.pipelines.assembled import DS, assembled, let_through, write_training_set
from tests.training.rows import training_rows
from training.artifact import load_model
from training.data.arrays import EncodedArrays
from training.errors import UnknownModelError


def test_train_leaves_a_model_that_publish_accepts_and_a_note_of_the_run(home: Callable[..., Path]):
    settings = assembled(home)
    train(settings, DS, "pepnet")
    folder = settings.models / "pepnet" / f"ds={DS}"
    verified_digest(folder)
    load_model(folder)
    note = json.loads((settings.runs / "train_pepnet.json").read_text())
    assert note["epochs"] == 3
    assert note["rows"] > 0


def test_train_gives_equal_bytes_when_run_again(home: Callable[..., Path]):
    settings = assembled(home)
    hashes = settings.models / "pooled_mlp" / f"ds={DS}" / "hashes.json"
    train(settings, DS, "pooled_mlp")
    first = hashes.read_bytes()
    train(settings, DS, "pooled_mlp")
    assert hashes.read_bytes() == first


def test_train_refuses_a_training_set_that_no_gate_let_through(home: Callable[..., Path]):
    settings = assembled(home)
    verdict_path(Lake(settings.lake), training_set("ranker_v1"), DS).unlink()
    with pytest.raises(NotValidatedError, match="training_sets/ranker_v1"):
        train(settings, DS, "pepnet")
    assert not settings.models.exists()


def test_train_refuses_arrays_of_an_older_training_set(home: Callable[..., Path]):
    settings = assembled(home)
    write_training_set(settings, training_rows(settings.catalog, rows=4000, seed=1))
    let_through(settings)
    with pytest.raises(NotValidatedError, match="gatehouse assemble"):
        train(settings, DS, "pepnet")


def test_train_names_the_models_there_are_when_asked_for_another(home: Callable[..., Path]):
    with pytest.raises(UnknownModelError, match="pepnet"):
        train(assembled(home), DS, "pipnet")


def test_train_streams_the_training_set_when_a_shuffle_buffer_is_set(home: Callable[..., Path]):
    settings = assembled(home)
    params = yaml.safe_load((settings.home / "params.yaml").read_text())
    params["train"] |= {"shuffle_buffer": 500, "epochs": 1}
    (settings.home / "params.yaml").write_text(yaml.safe_dump(params))
    streaming = Settings(home=settings.home, device="cpu")
    encoded = encoded_folder(Lake(settings.lake), "ranker_v1", DS)
    train(streaming, DS, "pooled_mlp")
    predictions = np.load(settings.models / "pooled_mlp" / f"ds={DS}" / "predictions.npy")
    assert len(predictions) == EncodedArrays(encoded).rows("test")
    assert list((settings.runs / "tensorboard" / f"ds={DS}" / "pooled_mlp").glob("events.*"))
