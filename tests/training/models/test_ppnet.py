from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from features.declarations.features import Role
from tests.training.models.restated import Leaves, dense, moved, opened, pooled_restated, relu, times
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.losses import masked_bce
from training.models.ppnet import PPNet

MakeBatch = Callable[..., Batch]
MakeModel = Callable[..., PPNet]
PRIORS = (Role.USER, Role.ITEM)
GENERAL = (Role.SCENARIO, Role.GENERAL, Role.SEQUENCE)
both = pytest.mark.parametrize("scenario_towers", [False, True])


@pytest.fixture
def make(tiny_spec: InputSpec, tiny_config: TrainConfig) -> MakeModel:
    """Make a model in float64, with gates that are open to different degrees."""

    def make(*, scenario_towers: bool) -> PPNet:
        torch.manual_seed(0)
        model = PPNet(tiny_spec, tiny_config, gate_hidden=4, scenario_towers=scenario_towers).double()
        moved(model)
        return model

    return make


def own_dense(layer: nn.Module, scenario: int, x: list[float]) -> list[float]:
    """A dense layer, or the scenario's (1 and up) among routed ones."""
    shared = isinstance(layer, nn.Linear)
    weight = layer.weight.T if shared else layer.weight[scenario - 1]
    if layer.bias is None:
        return dense(x, weight.tolist(), [0.0] * weight.shape[1])
    return dense(x, weight.tolist(), (layer.bias if shared else layer.bias[scenario - 1]).tolist())


def ppnet_restated(model: PPNet, batch: Batch) -> list[list[float]]:
    inputs = model.inputs(batch)
    rows = []
    for row, scenario in enumerate(batch.scenario.tolist()):
        everything = inputs.user[row].tolist() + inputs.item[row].tolist() + inputs.scenario[row].tolist()
        everything += inputs.general[row].tolist() + pooled_restated(inputs, row)
        hidden = everything
        priors, general = everything[: model.priors], everything[model.priors :]
        from_priors = own_dense(model.gates.from_priors, scenario, priors)
        from_general = own_dense(model.gates.from_context, scenario, general)
        seen = relu([own + other for own, other in zip(from_priors, from_general, strict=True)])
        for depth, (layer, head) in enumerate(zip(model.layers, model.gates.heads, strict=True)):
            opening = own_dense(head.out, scenario, seen[4 * depth : 4 * depth + 4])
            hidden = own_dense(layer, scenario, times(opened(opening), hidden))
            if depth < len(model.layers) - 1:
                hidden = relu(hidden)
        rows.append(hidden)
    return rows


@both
def test_ppnet_gates_the_input_of_every_layer(
    make: MakeModel, random_batch: MakeBatch, scenario_towers: bool
) -> None:
    model = make(scenario_towers=scenario_towers)
    batch = random_batch(rows=6, dtype=torch.float64)
    expected = torch.tensor(ppnet_restated(model, batch), dtype=torch.float64)
    assert torch.allclose(model(batch), expected, rtol=1e-10, atol=1e-12)


def test_a_fresh_ppnet_equals_its_base_network_without_gates(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = PPNet(tiny_spec, tiny_config)
    batch = random_batch()
    hidden = model.inputs(batch).of(*PRIORS, *GENERAL)
    for layer in model.layers[:-1]:
        hidden = torch.relu(layer(hidden))
    assert torch.equal(model(batch), model.layers[-1](hidden))


def test_fresh_scenario_towers_equal_one_base_network_in_every_scenario(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = PPNet(tiny_spec, tiny_config, scenario_towers=True).double()
    batch = random_batch(dtype=torch.float64)
    hidden = model.inputs(batch).of(*PRIORS, *GENERAL)
    for layer in model.layers[:-1]:
        hidden = torch.relu(hidden @ layer.weight[0] + layer.bias[0])
    expected = hidden @ model.layers[-1].weight[0] + model.layers[-1].bias[0]
    assert torch.allclose(model(batch), expected, rtol=0, atol=1e-14)


@both
def test_everything_but_the_priors_learns_as_if_ppnets_gates_were_constants(
    make: MakeModel, random_batch: MakeBatch, scenario_towers: bool
) -> None:
    """The gates' gradients reach the priors alone."""
    model = make(scenario_towers=scenario_towers)
    batch = random_batch(dtype=torch.float64)
    opening: list[torch.Tensor] = []
    hooks = [
        gate.register_forward_hook(lambda _module, _inputs, output: opening.append(output.detach()))
        for gate in model.gates.heads
    ]
    model.inputs = leaves = Leaves(model.inputs(batch))  # type: ignore[assignment]
    masked_bce(model(batch), batch.labels).backward()
    for hook in hooks:
        hook.remove()

    values = iter(opening)
    for gate in model.gates.heads:
        gate.register_forward_hook(lambda _module, _inputs, _output: next(values))
    model.inputs = constant = Leaves(leaves.held)  # type: ignore[assignment]
    masked_bce(model(batch), batch.labels).backward()

    for role in ("scenario", "general", "sequence"):
        grad, expected = getattr(leaves.held, role).grad, getattr(constant.held, role).grad
        assert grad.any()
        assert torch.allclose(grad, expected, rtol=0, atol=1e-14), role
    for role in ("user", "item"):
        grad, expected = getattr(leaves.held, role).grad, getattr(constant.held, role).grad
        assert not torch.allclose(grad, expected, rtol=0, atol=1e-6), role


def test_a_scenarios_own_tower_and_gates_learn_from_its_rows_alone(
    make: MakeModel, random_batch: MakeBatch
) -> None:
    model = make(scenario_towers=True)
    batch = random_batch(dtype=torch.float64)
    labels = batch.labels.masked_fill((batch.scenario != 2).unsqueeze(1), torch.nan)
    masked_bce(model(batch), labels).backward()
    for name, parameter in model.named_parameters():
        if not name.startswith("inputs."):
            assert [bool(grad.any()) for grad in parameter.grad] == [False, True, False], name


def test_scores_with_scenario_towers_are_the_same_alone_in_a_batch_and_permuted(
    make: MakeModel, random_batch: MakeBatch
) -> None:
    model = make(scenario_towers=True).eval()
    batch = random_batch(rows=12, dtype=torch.float64)
    batch = replace(batch, scenario=torch.cat([batch.scenario[:10], torch.zeros(2, dtype=torch.int64)]))
    together = model(batch)
    for rows in (torch.randperm(12), *torch.arange(12).split(1)):
        part = Batch(*(getattr(batch, name)[rows] for name in Batch.__slots__))
        assert torch.allclose(model(part), together[rows], rtol=0, atol=1e-12)


def test_an_unseen_scenario_has_the_mean_of_all_towers_and_gates(
    make: MakeModel, random_batch: MakeBatch
) -> None:
    model = make(scenario_towers=True)
    batch = random_batch(dtype=torch.float64)
    unseen = model(replace(batch, scenario=torch.zeros_like(batch.scenario)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("inputs."):
                parameter[0] = parameter.mean(dim=0)
    first = model(replace(batch, scenario=torch.ones_like(batch.scenario)))
    assert torch.allclose(unseen, first, rtol=0, atol=1e-12)
