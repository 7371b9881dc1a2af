from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from features.declarations.features import Role
from tests.training.models.restated import dense, moved, relu
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.lowrank import GeneratedCore
from training.models.apg import APG

MakeBatch = Callable[..., Batch]
MakeModel = Callable[..., APG]


@pytest.fixture
def make(tiny_spec: InputSpec, tiny_config: TrainConfig) -> MakeModel:
    """Make a model in float64 away from its start, of rank 2 and conditions of width 3."""

    def make(*, by_user: bool) -> APG:
        torch.manual_seed(0)
        model = APG(tiny_spec, tiny_config, rank=2, condition=3, by_user=by_user).double()
        moved(model)
        return model

    return make


def apg_restated(model: APG, x: list[float], condition: list[float]) -> list[float]:
    """A row with condition z: U ((reshape(G z) + g) (V x)) + b, and relu, in every layer."""
    for layer in model.layers:
        rank = len(layer.g)
        core = [
            [sum(z * layer.G[r, i, j].item() for r, z in enumerate(condition)) + layer.g[i, j].item()
             for j in range(rank)]
            for i in range(rank)
        ]  # fmt: skip
        narrow = dense(x, layer.V.weight.T.tolist(), [0.0] * rank)
        mixed = dense(narrow, core, [0.0] * rank)
        x = relu(dense(mixed, layer.U.weight.T.tolist(), layer.U.bias.tolist()))
    return dense(x, model.out.weight.T.tolist(), model.out.bias.tolist())


def test_apg_generates_the_core_of_every_layer_from_the_scenario(
    make: MakeModel, random_batch: MakeBatch
) -> None:
    model, batch = make(by_user=False), random_batch(rows=6, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role).tolist()):
        condition = model.scenario_condition[int(batch.scenario[row]) - 1].tolist()
        assert logits[row].tolist() == pytest.approx(apg_restated(model, x, condition), rel=1e-10)


def test_apg_generates_the_core_from_scenario_and_user_when_told_to(
    make: MakeModel, random_batch: MakeBatch
) -> None:
    model, batch = make(by_user=True), random_batch(rows=6, dtype=torch.float64)
    logits, inputs = model(batch), model.inputs(batch)
    for row, x in enumerate(inputs.of(*Role).tolist()):
        condition = inputs.scenario[row].tolist() + inputs.user[row].tolist()
        for layer in (model.user_condition[0], model.user_condition[2]):
            condition = relu(dense(condition, layer.weight.T.tolist(), layer.bias.tolist()))
        assert logits[row].tolist() == pytest.approx(apg_restated(model, x, condition), rel=1e-10)


def test_an_unseen_scenario_has_the_core_that_all_share(make: MakeModel, random_batch: MakeBatch) -> None:
    model, batch = make(by_user=False), random_batch(rows=3, dtype=torch.float64)
    logits = model(replace(batch, scenario=torch.zeros_like(batch.scenario)))
    for row, x in enumerate(model.inputs(batch).of(*Role).tolist()):
        assert logits[row].tolist() == pytest.approx(apg_restated(model, x, [0.0] * 3), rel=1e-10)


def test_a_core_is_generated_once_per_scenario_and_not_once_per_row(
    make: MakeModel, random_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions: list[torch.Size] = []
    forward = GeneratedCore.forward

    def watched(self: GeneratedCore, x: Tensor, condition: Tensor, *routes: object) -> Tensor:
        conditions.append(condition.shape)
        return forward(self, x, condition, *routes)  # type: ignore[arg-type]

    monkeypatch.setattr(GeneratedCore, "forward", watched)
    make(by_user=False)(random_batch(rows=50, dtype=torch.float64))
    assert conditions == [(4, 3), (4, 3)]


def test_a_users_condition_is_a_rows_own(make: MakeModel, random_batch: MakeBatch) -> None:
    model = make(by_user=True).eval()
    batch = random_batch(rows=12, dtype=torch.float64)
    order = torch.randperm(12)
    permuted = Batch(*(getattr(batch, name)[order] for name in Batch.__slots__))
    assert torch.allclose(model(permuted), model(batch)[order], rtol=0, atol=1e-12)
