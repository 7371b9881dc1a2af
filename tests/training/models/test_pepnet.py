from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.training.models.restated import (
    GENERAL,
    Leaves,
    gate_restated,
    gates_of,
    layer_restated,
    moved,
    pooled_restated,
    relu,
    times,
)
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.losses import masked_bce
from training.models.pepnet import PEPNet

MakeBatch = Callable[..., Batch]


@pytest.fixture
def model(tiny_spec: InputSpec, tiny_config: TrainConfig) -> PEPNet:
    """In float64, with gates that are open to different degrees."""
    torch.manual_seed(0)
    model = PEPNet(tiny_spec, tiny_config, gate_hidden=4).double()
    moved(model)
    return model


def pepnet_restated(model: PEPNet, batch: Batch) -> list[list[float]]:
    """The paper's equations, a row and a task at a time."""
    inputs = model.inputs(batch)
    rows = []
    for row in range(len(batch.ids)):
        scenario = inputs.scenario[row].tolist()
        priors = inputs.user[row].tolist() + inputs.item[row].tolist()
        embedded = priors + inputs.general[row].tolist() + pooled_restated(inputs, row)

        domain = gate_restated(model.epnet, scenario + embedded)
        personalised = times(domain, embedded)
        logits = []
        for task in range(3):
            hidden = personalised
            for depth, (tower, gate) in enumerate(zip(model.towers, model.ppnet, strict=True)):
                all_tasks = gate_restated(gate, priors + personalised)
                width = len(hidden)
                own = all_tasks[task * width : (task + 1) * width]
                hidden = layer_restated(tower, task, times(own, hidden))
                if depth < len(model.towers) - 1:
                    hidden = relu(hidden)
            logits.append(hidden[0])
        rows.append(logits)
    return rows


def test_pepnet_is_the_papers_equations(model: PEPNet, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=6, dtype=torch.float64)
    expected = torch.tensor(pepnet_restated(model, batch), dtype=torch.float64)
    assert torch.allclose(model(batch), expected, rtol=1e-10, atol=1e-12)


def test_a_fresh_pepnet_equals_its_base_network_without_gates(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = PEPNet(tiny_spec, tiny_config)
    batch = random_batch()
    embedded = model.inputs(batch).of(*GENERAL)
    hidden = embedded.unsqueeze(1).expand(-1, 3, -1)
    for tower in model.towers[:-1]:
        hidden = torch.relu(tower(hidden))
    assert torch.equal(model(batch), model.towers[-1](hidden).squeeze(-1))


def test_the_embedding_gate_trains_the_scenario_alone(model: PEPNet, random_batch: MakeBatch) -> None:
    leaves = Leaves(model.inputs(random_batch(dtype=torch.float64)))
    model._embedding_gate(leaves.held, leaves.held.of(*GENERAL)).sum().backward()
    assert leaves.with_gradient() == {"scenario"}


def test_the_layer_gates_train_the_priors_alone(model: PEPNet, random_batch: MakeBatch) -> None:
    leaves = Leaves(model.inputs(random_batch(dtype=torch.float64)))
    general = leaves.held.of(*GENERAL)
    gates = model._layer_gates(leaves.held, model._embedding_gate(leaves.held, general) * general)
    sum((gate.sum() for gate in gates), start=torch.zeros(())).backward()
    assert leaves.with_gradient() == {"user", "item"}


def test_general_features_and_sequence_learn_as_if_the_gates_were_constants(
    model: PEPNet, random_batch: MakeBatch
) -> None:
    batch = random_batch(dtype=torch.float64)
    epnet, ppnet = gates_of(model, batch)
    model.inputs = leaves = Leaves(model.inputs(batch))  # type: ignore[assignment]
    masked_bce(model(batch), batch.labels).backward()

    constant = Leaves(leaves.held)
    hidden = (epnet * constant.held.of(*GENERAL)).unsqueeze(1).expand(-1, 3, -1)
    for tower, gate in zip(model.towers[:-1], ppnet, strict=False):
        hidden = torch.relu(tower(gate * hidden))
    logits = model.towers[-1](ppnet[-1] * hidden).squeeze(-1)
    masked_bce(logits, batch.labels).backward()

    for role in ("general", "sequence"):
        grad, expected = getattr(leaves.held, role).grad, getattr(constant.held, role).grad
        assert grad.any()
        assert torch.allclose(grad, expected, rtol=0, atol=1e-14), role
    # The same is not true of the priors: they also learn through the gates.
    assert not torch.allclose(leaves.held.user.grad, constant.held.user.grad, rtol=0, atol=1e-6)
    assert not torch.allclose(leaves.held.item.grad, constant.held.item.grad, rtol=0, atol=1e-6)


def test_gates_lie_between_shut_and_doubled(model: PEPNet, random_batch: MakeBatch) -> None:
    epnet, ppnet = gates_of(model, random_batch(rows=100, dtype=torch.float64))
    for gate in [epnet, *ppnet]:
        assert ((gate > 0) & (gate < 2)).all()
        assert gate.max() > 1 > gate.min()


def test_gates_have_a_column_per_embedding_column_and_a_layer_input_per_task(
    model: PEPNet, random_batch: MakeBatch
) -> None:
    epnet, ppnet = gates_of(model, random_batch(rows=9, dtype=torch.float64))
    width = model.inputs.width(*GENERAL)
    assert epnet.shape == (9, width)
    assert [gate.shape for gate in ppnet] == [(9, 3, width), (9, 3, 8), (9, 3, 6)]
