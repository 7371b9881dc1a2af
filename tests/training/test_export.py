"""An exported model scores as the model it was made from, whatever the number of rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from pipelines.errors import PublishError
from pipelines.model_files import verified_digest
from tests.training.models.conftest import random_batch, tiny_spec
from training.artifact import load_model
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.batch import Batch
from training.data.encode import Encoder
from training.data.spec import InputSpec
from training.errors import ArtifactError, ExportError
from training.export import OUTPUT, Format, Scorer, export_model, exported, write_onnx, write_package
from training.models.build import available, build
from training.run import run
from training.sealed import fingerprint, verify

__all__ = ["random_batch", "tiny_spec"]
SIZES = (1, 2, 7, 500)
SMALL = TrainConfig(embedding_dim=3, hidden=(8, 6))
MakeBatch = Callable[..., Batch]


def scorer(name: str, spec: InputSpec) -> Scorer:
    """A model away from its start, so that every gate does something."""
    torch.manual_seed(0)
    model = build(name, spec, SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return Scorer(model)


def inputs(batch: Batch) -> dict[str, Tensor]:
    return {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "labels"}


def each_size(make: MakeBatch) -> Iterator[dict[str, Tensor]]:
    return (inputs(make(rows=rows, seed=rows)) for rows in SIZES)


@pytest.mark.slow
@pytest.mark.parametrize("name", available())
def test_onnx_scores_as_the_model_does(
    name: str, tiny_spec: InputSpec, random_batch: MakeBatch, tmp_path: Path
) -> None:
    model = scorer(name, tiny_spec)
    write_onnx(exported(model, tiny_spec), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for given in each_size(random_batch):
        (found,) = session.run([OUTPUT], {name: tensor.numpy() for name, tensor in given.items()})
        np.testing.assert_allclose(found, model(**given).detach(), rtol=0, atol=1e-5)


class Side(nn.Module):
    """All models side by side, so that the compiler starts and reads its headers once for all of them."""

    def __init__(self, scorers: list[Scorer]) -> None:
        super().__init__()
        self.scorers = nn.ModuleList(scorers)

    def forward(
        self, ids: Tensor, numeric: Tensor, sequence: Tensor, ages: Tensor, mask: Tensor, scenario: Tensor
    ) -> tuple[Tensor, ...]:
        return tuple(model(ids, numeric, sequence, ages, mask, scenario) for model in self.scorers)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor compiles C++, and there is no g++")
def test_aotinductor_scores_as_every_model_does(
    tiny_spec: InputSpec, random_batch: MakeBatch, tmp_path: Path
) -> None:
    models = Side([scorer(name, tiny_spec) for name in available()])
    write_package(exported(models, tiny_spec), tmp_path / "model.pt2")
    compiled = torch._inductor.aoti_load_package(str(tmp_path / "model.pt2"))
    for given in each_size(random_batch):
        for name, found, expected in zip(
            available(), compiled(*given.values()), models(**given), strict=True
        ):
            np.testing.assert_allclose(found, expected.detach(), rtol=0, atol=1e-5, err_msg=name)


def test_a_model_that_looks_at_the_number_of_rows_is_refused(tiny_spec: InputSpec) -> None:
    class Counting(nn.Module):
        def forward(self, batch: Batch) -> Tensor:
            return batch.numeric * len(batch.numeric)

    with pytest.raises(ExportError, match="any number of rows"):
        exported(Scorer(Counting()), tiny_spec)


def test_an_exported_folder_says_all_it_takes_to_feed_it_and_is_no_model(
    encoded: Path, tmp_path: Path
) -> None:
    trained, target = tmp_path / "trained", tmp_path / "exported"
    config = TrainConfig(embedding_dim=3, hidden=(8,), epochs=1, auxiliary_weight=0.5)
    arrays = EncodedArrays(encoded)
    run(
        "pooled_mlp", arrays, trained, config,
        dataset="simulated", licence="none", checkpoints=tmp_path / "checkpoints",
    )  # fmt: skip
    export_model(trained, Format.ONNX, target)

    verify(target)
    assert Encoder.load(target) == arrays.encoder
    contract = json.loads((target / "export.json").read_text())
    assert contract["made_from"] == fingerprint(trained)
    test = {name: arrays.column(name, "test") for name in (own["name"] for own in contract["inputs"])}
    given = {own["name"]: test[own["name"]].astype(own["type"]) for own in contract["inputs"]}
    session = onnxruntime.InferenceSession(target / contract["file"])
    (found,) = session.run([contract["output"]["name"]], given)
    np.testing.assert_allclose(found, np.load(trained / "predictions.npy"), rtol=0, atol=1e-5)

    with pytest.raises(ArtifactError, match=r"model\.onnx is refused"):
        load_model(target)
    with pytest.raises(PublishError, match=r"model\.onnx is refused"):
        verified_digest(target)
