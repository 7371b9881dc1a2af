from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.errors import ModelSettingsError
from training.layers.meta import MetaUnit
from training.layers.routing import route
from training.models.m2m import M2M

MakeBatch = Callable[..., Batch]


@pytest.fixture
def model(tiny_spec: InputSpec, tiny_config: TrainConfig) -> M2M:
    """In float64, with generated weights that differ much between rows."""
    torch.manual_seed(0)
    settings = {"experts": 2, "knowledge": 3, "attention": 4, "meta_depth": 2}
    model = M2M(tiny_spec, tiny_config, **settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.01 * x)


def dense(layer: nn.Linear, x: Tensor) -> Tensor:
    return layer.weight @ x + layer.bias


def meta_restated(unit: MetaUnit, task: int, x: Tensor, knowledge: Tensor) -> Tensor:
    for layer in unit.layers:
        weight, bias = layer.v_w[task].clone(), layer.v_b[task].clone()
        for r, known in enumerate(knowledge):
            weight = weight + known * layer.V_w[task, r]
            bias = bias + known * layer.V_b[task, r]
        x = leaky(weight.T @ x + bias)
    return x


def m2m_restated(model: M2M, batch: Batch, row: int) -> list[float]:
    """The paper's equations for one row; attention is tested against its own in test_attention."""
    inputs = model.inputs(batch)
    user, item, general = inputs.user[row], inputs.item[row], inputs.general[row]
    events = inputs.sequence[row][batch.mask[row]]
    tokens = [dense(model.user_token, user), dense(model.item_token, item)]
    tokens += [dense(model.event_token, event) for event in events]
    everything = torch.ones(1, len(tokens), dtype=torch.bool)
    attended = model.attention(torch.stack(tokens).unsqueeze(0), everything)[0]
    pooled = attended[2:].mean(dim=0) if len(events) else torch.zeros_like(attended[0])
    features = torch.cat([attended[0], attended[1], pooled, user, item, general])

    experts = []
    for i in range(2):
        hidden = features
        for layer in (model.experts[0], model.experts[2]):
            hidden = leaky(layer.weight[i].T @ hidden + layer.bias[i])
        experts.append(hidden)
    knowledge = torch.cat([inputs.scenario[row], user])
    for layer in (model.knowledge[0], model.knowledge[2]):
        knowledge = leaky(dense(layer, knowledge))

    logits = []
    for task in range(3):
        view = leaky(dense(model.task_view[0], model.task_embedding[task]))
        scores = []
        for expert in experts:
            mixed = meta_restated(model.meta_attention, task, torch.cat([expert, view]), knowledge)
            scores.append(model.attention_score.weight[0] @ mixed)
        weights = torch.stack(scores).exp() / torch.stack(scores).exp().sum()
        hidden = weights[0] * experts[0] + weights[1] * experts[1]
        for unit in model.meta_tower:
            hidden = leaky(meta_restated(unit, task, hidden, knowledge) + hidden)
        logits.append((hidden @ model.out.weight[task, :, 0] + model.out.bias[task, 0]).item())
    return logits


def test_m2m_is_the_papers_equations(model: M2M, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=8, dtype=torch.float64)
    assert not batch.mask.any(dim=1).all(), "one row should have no history"
    logits = model(batch)
    for row in range(8):
        assert logits[row].tolist() == pytest.approx(m2m_restated(model, batch, row), rel=1e-9)


@pytest.fixture
def of_scenario(tiny_spec: InputSpec, tiny_config: TrainConfig) -> M2M:
    """As above, with knowledge of the scenario alone."""
    torch.manual_seed(0)
    settings = {"experts": 2, "knowledge": 3, "attention": 4, "meta_depth": 2, "knowledge_of": "scenario"}
    model = M2M(tiny_spec, tiny_config, **settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def a_row_at_a_time(model: M2M, batch: Batch) -> Tensor:
    """The logits, with the meta units' weights generated for every row."""
    inputs = model.inputs(batch)
    experts = model.experts(model._backbone(inputs)).unsqueeze(1)
    knowledge = model.knowledge(inputs.scenario[:, :3])
    return model.out(model._known(experts, knowledge).squeeze(1)).squeeze(-1)


@pytest.mark.parametrize("rows", [1, 40])
def test_weights_made_once_for_many_rows_give_the_logits_and_gradients_of_weights_made_for_each(
    of_scenario: M2M, random_batch: MakeBatch, rows: int
) -> None:
    batch = random_batch(rows=rows, dtype=torch.float64)
    results = []
    for logits in (of_scenario(batch), a_row_at_a_time(of_scenario, batch)):
        parameters = list(of_scenario.parameters())
        results.append((logits, *torch.autograd.grad(logits.square().sum(), parameters)))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_fewer_matrices_are_made_than_rows_when_scenarios_share_them(
    tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    model = M2M(tiny_spec, TrainConfig(embedding_dim=3, hidden=(8, 16)), knowledge_of="scenario")
    made: list[Tensor] = []
    for unit in model.meta_tower:
        unit.register_forward_pre_hook(lambda module, inputs: made.append(inputs[1]))
    batch = random_batch(rows=256)
    model(batch)
    tiles = len(route(batch.scenario, tiny_spec.scenarios).tile_group)
    assert [len(knowledge) for knowledge in made] == [tiles, tiles]
    assert tiles < 256 / 4


def test_m2m_says_so_when_it_is_to_know_of_something_else(
    tiny_spec: InputSpec, tiny_config: TrainConfig
) -> None:
    with pytest.raises(
        ModelSettingsError, match=r"knowledge of 'item'; set knowledge_of to user .* scenario"
    ):
        M2M(tiny_spec, tiny_config, knowledge_of="item")


def test_a_task_view_is_the_same_in_every_scenario(model: M2M, random_batch: MakeBatch) -> None:
    views: list[Tensor] = []
    model.task_view.register_forward_hook(lambda module, inputs, output: views.append(output))
    batch = random_batch(dtype=torch.float64)
    for scenario in (1, 2):
        ids = batch.ids.clone()
        ids[:, 3] = scenario
        model(replace(batch, ids=ids, scenario=torch.full_like(batch.scenario, scenario)))
    assert views[0].shape == (3, 6)
    assert torch.equal(views[0], views[1])


def test_generated_weights_are_linear_in_the_knowledge(model: M2M) -> None:
    """No batch norm and no activation stands between knowledge and weights."""
    layer = model.meta_tower[0].layers[0]
    hidden = torch.randn(1, 3, 1, 6, dtype=torch.float64)
    one, other = torch.randn(2, 1, 3, dtype=torch.float64)
    middle = layer(hidden, 0.25 * one + 0.75 * other)
    assert torch.allclose(middle, 0.25 * layer(hidden, one) + 0.75 * layer(hidden, other), atol=1e-12)


def test_no_module_mixes_rows_by_batch_statistics(model: M2M) -> None:
    assert not [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
