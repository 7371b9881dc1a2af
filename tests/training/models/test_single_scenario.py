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
from training.losses import masked_bce
from training.models.single_scenario import SingleScenario

MakeBatch = Callable[..., Batch]


@pytest.fixture
def model(tiny_spec: InputSpec, tiny_config: TrainConfig) -> SingleScenario:
    """In float64, with scenarios that have gone their own ways."""
    torch.manual_seed(0)
    model = SingleScenario(tiny_spec, tiny_config).double()
    moved(model)
    return model


def tower(model: SingleScenario, weights: Callable[[Tensor], Tensor], x: list[float]) -> list[float]:
    """The tower whose matrices `weights` picks from those of all scenarios."""
    for layer in model.mlp.layers:
        x = relu(dense(x, weights(layer.weight).tolist(), weights(layer.bias).tolist()))
    return dense(x, weights(model.out.weight).tolist(), weights(model.out.bias).tolist())


def test_each_scenario_has_an_mlp_of_its_own(model: SingleScenario, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=9, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role).tolist()):
        own = int(batch.scenario[row]) - 1
        expected = tower(model, lambda weights, own=own: weights[own], x)  # type: ignore[misc]
        assert logits[row].tolist() == pytest.approx(expected, rel=1e-11)


def test_an_unseen_scenario_is_scored_with_the_mean_of_all_towers(
    model: SingleScenario, random_batch: MakeBatch
) -> None:
    batch = random_batch(rows=3, dtype=torch.float64)
    batch = replace(batch, scenario=torch.zeros_like(batch.scenario))
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role).tolist()):
        expected = tower(model, lambda weights: weights.mean(dim=0), x)
        assert logits[row].tolist() == pytest.approx(expected, rel=1e-11)


def test_fresh_towers_are_the_same_in_every_scenario(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = SingleScenario(tiny_spec, tiny_config).double()
    batch = random_batch(dtype=torch.float64)
    elsewhere = batch.scenario % (tiny_spec.scenarios - 1) + 1
    assert torch.allclose(model(replace(batch, scenario=elsewhere)), model(batch), rtol=0, atol=1e-15)


def test_a_scenarios_tower_learns_from_its_own_rows_alone(
    model: SingleScenario, random_batch: MakeBatch
) -> None:
    batch = random_batch(dtype=torch.float64)
    labels = batch.labels.masked_fill((batch.scenario != 2).unsqueeze(1), torch.nan)
    masked_bce(model(batch), labels).backward()
    for layer in (*model.mlp.layers, model.out):
        for parameter in (layer.weight, layer.bias):
            assert [bool(grad.any()) for grad in parameter.grad] == [False, True, False]
