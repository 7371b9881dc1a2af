"""EPNet alone and PEPNet's PPNet alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from features.declarations.features import Role
from tests.training.models.restated import (
    GENERAL,
    Leaves,
    gate_restated,
    layer_restated,
    moved,
    pooled_restated,
    relu,
    times,
)
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.models.epnet import EPNet
from training.models.pepnet_ppnet import PEPNetPPNet

MakeBatch = Callable[..., Batch]


@pytest.fixture
def epnet(tiny_spec: InputSpec, tiny_config: TrainConfig) -> EPNet:
    torch.manual_seed(0)
    return EPNet(tiny_spec, tiny_config, gate_hidden=4).double()


@pytest.fixture
def ppnet(tiny_spec: InputSpec, tiny_config: TrainConfig) -> PEPNetPPNet:
    torch.manual_seed(0)
    return PEPNetPPNet(tiny_spec, tiny_config, gate_hidden=4).double()


def test_epnet_gates_the_embeddings_and_nothing_else(epnet: EPNet, random_batch: MakeBatch) -> None:
    moved(epnet)
    batch = random_batch(rows=5, dtype=torch.float64)
    logits, inputs = epnet(batch), epnet.inputs(batch)
    for row in range(5):
        embedded = inputs.user[row].tolist() + inputs.item[row].tolist() + inputs.general[row].tolist()
        embedded += pooled_restated(inputs, row)
        gate = gate_restated(epnet.epnet, inputs.scenario[row].tolist() + embedded)
        for task in range(3):
            hidden = times(gate, embedded)
            for layer in (epnet.towers[0], epnet.towers[2]):
                hidden = relu(layer_restated(layer, task, hidden))
            expected = layer_restated(epnet.towers[4], task, hidden)[0]
            assert logits[row, task].item() == pytest.approx(expected, rel=1e-10)


def test_a_fresh_epnet_equals_its_base_network_without_the_gate(
    epnet: EPNet, random_batch: MakeBatch
) -> None:
    epnet, batch = epnet.float(), random_batch()
    assert torch.equal(epnet(batch), epnet.towers(epnet.inputs(batch).of(*GENERAL)))


def test_epnets_gate_trains_the_scenario_alone(epnet: EPNet, random_batch: MakeBatch) -> None:
    moved(epnet)
    batch = random_batch(dtype=torch.float64)
    epnet.inputs = leaves = Leaves(epnet.inputs(batch))  # type: ignore[assignment]
    opening: list[torch.Tensor] = []
    epnet.epnet.register_forward_hook(lambda _module, _inputs, output: opening.append(output))
    epnet(batch)
    opening[0].sum().backward()
    assert leaves.with_gradient() == {"scenario"}


def test_pepnets_ppnet_alone_gates_every_layer_of_every_task(
    ppnet: PEPNetPPNet, random_batch: MakeBatch
) -> None:
    moved(ppnet)
    batch = random_batch(rows=5, dtype=torch.float64)
    logits, inputs = ppnet(batch), ppnet.inputs(batch)
    for row in range(5):
        priors = inputs.user[row].tolist() + inputs.item[row].tolist()
        everything = inputs.of(*Role)[row].tolist()
        for task in range(3):
            hidden = everything
            for depth, (tower, gate) in enumerate(zip(ppnet.towers, ppnet.ppnet, strict=True)):
                width = len(hidden)
                own = gate_restated(gate, priors + everything)[task * width : (task + 1) * width]
                hidden = layer_restated(tower, task, times(own, hidden))
                if depth < len(ppnet.towers) - 1:
                    hidden = relu(hidden)
            assert logits[row, task].item() == pytest.approx(hidden[0], rel=1e-10)


def test_a_fresh_pepnet_without_epnet_equals_its_base_network(
    ppnet: PEPNetPPNet, random_batch: MakeBatch
) -> None:
    ppnet, batch = ppnet.float(), random_batch()
    hidden = ppnet.inputs(batch).of(*Role).unsqueeze(1).expand(-1, 3, -1)
    for tower in ppnet.towers[:-1]:
        hidden = torch.relu(tower(hidden))
    assert torch.equal(ppnet(batch), ppnet.towers[-1](hidden).squeeze(-1))


def test_pepnets_ppnet_alone_trains_the_priors_alone_by_its_gates(
    ppnet: PEPNetPPNet, random_batch: MakeBatch
) -> None:
    moved(ppnet)
    leaves = Leaves(ppnet.inputs(random_batch(dtype=torch.float64)))
    gates = ppnet.ppnet(leaves.held.of(Role.USER, Role.ITEM), leaves.held.of(*Role))
    sum((gate.sum() for gate in gates), start=torch.zeros(())).backward()
    assert leaves.with_gradient() == {"user", "item"}
