from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from features.declarations.features import Role
from tests.training.models.restated import Leaves, dense, moved, pooled_restated, relu
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.losses import masked_bce
from training.models.star import STAR

MakeBatch = Callable[..., Batch]
GENERAL = (Role.USER, Role.ITEM, Role.GENERAL, Role.SEQUENCE)


@pytest.fixture
def model(tiny_spec: InputSpec, tiny_config: TrainConfig) -> STAR:
    """In float64, every parameter and statistic away from its start."""
    torch.manual_seed(0)
    model = STAR(tiny_spec, tiny_config, auxiliary=(5, 4)).double()
    moved(model)
    nn.init.normal_(model.norm.moving_mean)
    nn.init.uniform_(model.norm.moving_variance, 0.5, 2.0)
    return model


def star_restated(model: STAR, batch: Batch) -> list[list[float]]:
    """The paper's equations in evaluation, a row at a time."""
    inputs, norm = model.inputs(batch), model.norm
    gain, shift = norm.gamma * (1.0 + norm.scenario_gamma), norm.beta + norm.scenario_beta
    rows = []
    for row, scenario in enumerate(batch.scenario.tolist()):
        p = scenario - 1
        embedded = inputs.user[row].tolist() + inputs.item[row].tolist() + inputs.general[row].tolist()
        embedded += pooled_restated(inputs, row)
        hidden = []
        for c, value in enumerate(embedded):
            mean, variance = float(norm.moving_mean[scenario, c]), float(norm.moving_variance[scenario, c])
            centred = (value - mean) / (variance + 1e-5) ** 0.5
            hidden.append(gain[p, c].item() * centred + shift[p, c].item())
        for depth, layer in enumerate(model.layers):
            weight = (layer.weight * (1.0 + layer.scenario_weight[p])).tolist()
            hidden = dense(hidden, weight, (layer.bias + layer.scenario_bias[p]).tolist())
            if depth < len(model.layers) - 1:
                hidden = relu(hidden)
        auxiliary = inputs.scenario[row].tolist() + embedded
        for layer in (model.auxiliary[0], model.auxiliary[2]):
            auxiliary = relu(dense(auxiliary, layer.weight.T.tolist(), layer.bias.tolist()))
        out = model.auxiliary_out
        auxiliary = dense(auxiliary, out.weight.T.tolist(), out.bias.tolist())
        rows.append([main + aside for main, aside in zip(hidden, auxiliary, strict=True)])
    return rows


def test_star_is_the_papers_equations(model: STAR, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=6, dtype=torch.float64)
    expected = torch.tensor(star_restated(model.eval(), batch), dtype=torch.float64)
    assert torch.allclose(model(batch), expected, rtol=1e-10, atol=1e-12)


def shared_network(model: STAR, batch: Batch) -> torch.Tensor:
    """STAR without anything of a scenario's own, for rows that `model.norm` has seen as one."""
    inputs, norm = model.inputs(batch), model.norm
    gain = norm.gamma * (norm.moving_variance[0] + 1e-5).rsqrt()
    hidden = (inputs.of(*GENERAL) - norm.moving_mean[0]) * gain + norm.beta
    for depth, layer in enumerate(model.layers):
        hidden = hidden @ layer.weight + layer.bias
        hidden = torch.relu(hidden) if depth < len(model.layers) - 1 else hidden
    auxiliary: torch.Tensor = model.auxiliary_out(model.auxiliary(inputs.of(*Role)))
    return hidden + auxiliary


def test_a_fresh_star_equals_its_shared_network(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = STAR(tiny_spec, tiny_config).double().eval()
    batch = random_batch(dtype=torch.float64)
    assert torch.allclose(model(batch), shared_network(model, batch), rtol=0, atol=1e-14)


def test_an_unseen_scenario_has_the_shared_network_and_the_statistics_of_all_rows(
    model: STAR, random_batch: MakeBatch
) -> None:
    batch = random_batch(dtype=torch.float64)
    batch = replace(batch, scenario=torch.zeros_like(batch.scenario))
    assert torch.allclose(model.eval()(batch), shared_network(model, batch), rtol=0, atol=1e-12)


def test_a_scenarios_rows_train_what_is_shared_and_its_own_share_only(
    model: STAR, random_batch: MakeBatch
) -> None:
    batch = random_batch(dtype=torch.float64)
    labels = batch.labels.masked_fill((batch.scenario != 2).unsqueeze(1), torch.nan)
    masked_bce(model(batch), labels).backward()
    for layer in model.layers:
        assert layer.weight.grad.any()
        for own in (layer.scenario_weight, layer.scenario_bias):
            assert [bool(grad.any()) for grad in own.grad] == [False, True, False]
    for own in (model.norm.scenario_gamma, model.norm.scenario_beta):
        assert [bool(grad.any()) for grad in own.grad] == [False, True, False]


def test_the_auxiliary_network_alone_reads_the_scenarios_features(
    model: STAR, random_batch: MakeBatch
) -> None:
    nn.init.zeros_(model.auxiliary_out.weight)
    batch = random_batch(dtype=torch.float64)
    model.inputs = leaves = Leaves(model.inputs(batch))  # type: ignore[assignment]
    masked_bce(model(batch), batch.labels).backward()
    assert leaves.with_gradient() == {"user", "item", "general", "sequence"}


def test_a_row_alone_in_its_scenario_trains_safely(model: STAR, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=5, dtype=torch.float64)
    batch = replace(batch, scenario=torch.tensor([1, 1, 2, 1, 1]))
    model.train()
    logits = model(batch)
    masked_bce(logits, batch.labels.nan_to_num(1.0)).backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert all(buffer.isfinite().all() for buffer in model.buffers())
