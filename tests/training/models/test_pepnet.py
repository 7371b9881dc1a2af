from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp

import pytest
import torch
from torch import nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.gates import GateNU
from training.layers.inputs import Inputs
from training.layers.towers import ParallelLinear
from training.losses import masked_bce
from training.models.pepnet import PEPNet

MakeBatch = Callable[..., Batch]
GENERAL = (Role.USER, Role.ITEM, Role.GENERAL, Role.SEQUENCE)


@pytest.fixture
def model(tiny_spec: InputSpec, tiny_config: TrainConfig) -> PEPNet:
    """In float64, with gates that are open to different degrees."""
    torch.manual_seed(0)
    model = PEPNet(tiny_spec, tiny_config, gate_hidden=4).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def gate_restated(gate: GateNU, x: list[float]) -> list[float]:
    w1, b1 = gate.hidden.weight.tolist(), gate.hidden.bias.tolist()
    w2, b2 = gate.out.weight.tolist(), gate.out.bias.tolist()
    hidden = [max(0.0, sum(w * v for w, v in zip(w1[j], x, strict=True)) + b1[j]) for j in range(len(w1))]
    scores = [sum(w * v for w, v in zip(w2[o], hidden, strict=True)) + b2[o] for o in range(len(w2))]
    return [2.0 / (1.0 + exp(-score)) for score in scores]


def layer_restated(layer: ParallelLinear, task: int, x: list[float]) -> list[float]:
    weight, bias = layer.weight[task].tolist(), layer.bias[task].tolist()
    return [sum(v * weight[i][o] for i, v in enumerate(x)) + bias[o] for o in range(len(bias))]


def pepnet_restated(model: PEPNet, batch: Batch) -> list[list[float]]:
    """The paper's equations, a row and a task at a time."""
    inputs = model.inputs(batch)
    rows = []
    for row in range(len(batch.ids)):
        scenario = inputs.scenario[row].tolist()
        priors = inputs.user[row].tolist() + inputs.item[row].tolist()
        events = inputs.sequence[row][batch.mask[row]].tolist()
        width = inputs.sequence.shape[-1]
        pooled = [sum(event[c] for event in events) / max(1, len(events)) for c in range(width)]
        embedded = priors + inputs.general[row].tolist() + pooled

        domain = gate_restated(model.epnet, scenario + embedded)
        personalised = [g * e for g, e in zip(domain, embedded, strict=True)]
        logits = []
        for task in range(3):
            hidden = personalised
            for depth, (tower, gate) in enumerate(zip(model.towers, model.ppnet, strict=True)):
                all_tasks = gate_restated(gate, priors + personalised)
                width = len(hidden)
                own = all_tasks[task * width : (task + 1) * width]
                hidden = layer_restated(tower, task, [g * h for g, h in zip(own, hidden, strict=True)])
                if depth < len(model.towers) - 1:
                    hidden = [max(0.0, h) for h in hidden]
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


class Leaves(nn.Module):
    """Stands in for the input layer: gives the same inputs, as leaves that collect gradients."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        held = {role.value: getattr(inputs, role.value).detach().requires_grad_() for role in Role}
        self.held = replace(inputs, **held)

    def forward(self, batch: Batch) -> Inputs:
        return self.held

    def with_gradient(self) -> set[str]:
        """Roles that collected a gradient other than zero."""
        grads = {role.value: getattr(self.held, role.value).grad for role in Role}
        return {name for name, grad in grads.items() if grad is not None and grad.any()}


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
    gates = model.gates(batch)
    model.inputs = leaves = Leaves(model.inputs(batch))  # type: ignore[assignment]
    masked_bce(model(batch), batch.labels).backward()

    constant = Leaves(leaves.held)
    hidden = (gates["epnet"] * constant.held.of(*GENERAL)).unsqueeze(1).expand(-1, 3, -1)
    for tower, gate in zip(model.towers[:-1], gates["ppnet"], strict=False):
        hidden = torch.relu(tower(gate * hidden))
    logits = model.towers[-1](gates["ppnet"][-1] * hidden).squeeze(-1)
    masked_bce(logits, batch.labels).backward()

    for role in ("general", "sequence"):
        grad, expected = getattr(leaves.held, role).grad, getattr(constant.held, role).grad
        assert grad.any()
        assert torch.allclose(grad, expected, rtol=0, atol=1e-14), role
    # The same is not true of the priors: they also learn through the gates.
    assert not torch.allclose(leaves.held.user.grad, constant.held.user.grad, rtol=0, atol=1e-6)
    assert not torch.allclose(leaves.held.item.grad, constant.held.item.grad, rtol=0, atol=1e-6)


def test_gates_lie_between_shut_and_doubled(model: PEPNet, random_batch: MakeBatch) -> None:
    gates = model.gates(random_batch(rows=100, dtype=torch.float64))
    for gate in [gates["epnet"], *gates["ppnet"]]:
        assert ((gate > 0) & (gate < 2)).all()
        assert gate.max() > 1 > gate.min()


def test_gates_have_a_column_per_embedding_column_and_a_layer_input_per_task(
    model: PEPNet, random_batch: MakeBatch
) -> None:
    gates = model.gates(random_batch(rows=9, dtype=torch.float64))
    width = len(model.general_columns)
    assert gates["epnet"].shape == (9, width)
    assert [gate.shape for gate in gates["ppnet"]] == [(9, 3, width), (9, 3, 8), (9, 3, 6)]
    assert not gates["epnet"].requires_grad


def test_general_columns_are_all_fields_but_the_scenarios(model: PEPNet, tiny_spec: InputSpec) -> None:
    fields = [*tiny_spec.ids, *tiny_spec.numerics]
    expected = {field.column for field in fields if field.role is not Role.SCENARIO}
    expected |= {field.column for field in tiny_spec.sequences} | {str(tiny_spec.ages)}
    assert set(model.general_columns) == expected
