"""The static models, and LHUC, against their equations."""

from __future__ import annotations

from collections.abc import Callable
from math import exp

import pytest
import torch

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.models.lhuc import LHUC
from training.models.pooled_mlp import PooledMLP
from training.models.shared_bottom import SharedBottom

MakeBatch = Callable[..., Batch]


def test_the_pooled_mlp_is_one_network_over_all_inputs(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = PooledMLP(tiny_spec, tiny_config).double()
    batch = random_batch(rows=4, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        for layer in (model.mlp[0], model.mlp[2]):
            x = torch.relu(layer.weight @ x + layer.bias)
        expected = model.out.weight @ x + model.out.bias
        assert logits[row].tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_the_shared_bottom_feeds_a_tower_per_task(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = SharedBottom(tiny_spec, tiny_config, tower=(4,)).double()
    batch = random_batch(rows=4, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        for layer in (model.bottom[0], model.bottom[2]):
            x = torch.relu(layer.weight @ x + layer.bias)
        for task in range(3):
            tower, out = model.towers[0], model.towers[2]
            hidden = torch.relu(tower.weight[task].T @ x + tower.bias[task])
            expected = hidden @ out.weight[task, :, 0] + out.bias[task, 0]
            assert logits[row, task].item() == pytest.approx(expected.item(), rel=1e-12)


def test_one_tasks_labels_train_the_bottom_and_its_own_tower_only(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = SharedBottom(tiny_spec, tiny_config)
    model(random_batch())[:, 1].sum().backward()
    assert model.bottom[0].weight.grad.any()
    for layer in (model.towers[0], model.towers[2]):
        assert [bool(grad.any()) for grad in layer.weight.grad] == [False, True, False]


def test_lhuc_scales_the_outputs_of_every_layer_by_the_scenarios_gates(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = LHUC(tiny_spec, tiny_config).double()
    for gate in model.gates:
        torch.nn.init.normal_(gate.r)
    batch = random_batch(rows=4, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        for layer, gate in zip(model.layers, model.gates, strict=True):
            r = gate.r[batch.scenario[row]].tolist()
            opened = torch.tensor([2 / (1 + exp(-value)) for value in r], dtype=torch.float64)
            x = opened * torch.relu(layer.weight @ x + layer.bias)
        expected = model.out.weight @ x + model.out.bias
        assert logits[row].tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_a_fresh_lhuc_equals_its_base_network_without_gates(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = LHUC(tiny_spec, tiny_config)
    batch = random_batch()
    hidden = model.inputs(batch).of(*Role)
    for layer in model.layers:
        hidden = torch.relu(layer(hidden))
    assert torch.equal(model(batch), model.out(hidden))
