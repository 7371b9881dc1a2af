from __future__ import annotations

import torch
from torch import Tensor, nn

from training.layers.routing import route
from training.layers.star import PartitionedNorm, StarLinear

SCENARIO = torch.tensor([1, 2, 1, 1, 3, 2, 1])
"""Scenario 3 has a single row."""


def norm_away_from_its_start() -> PartitionedNorm:
    torch.manual_seed(0)
    norm = PartitionedNorm(4, 2).double()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    nn.init.normal_(norm.moving_mean)
    nn.init.uniform_(norm.moving_variance, 0.5, 2.0)
    return norm


def normalised(norm: PartitionedNorm, x: Tensor, scenario: int, mean: Tensor, variance: Tensor) -> Tensor:
    """gamma gamma_p (x - mean) / std + beta + beta_p; index 0 has no gamma_p and beta_p."""
    gamma, beta = norm.gamma, norm.beta
    if scenario:
        gamma = gamma * (1.0 + norm.scenario_gamma[scenario - 1])
        beta = beta + norm.scenario_beta[scenario - 1]
    return gamma * (x - mean) / (variance + 1e-5).sqrt() + beta


def test_a_star_layer_is_the_shared_weights_times_the_scenarios() -> None:
    torch.manual_seed(0)
    layer = StarLinear(4, 3, 2).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(7, 3, dtype=torch.float64)
    routes = route(SCENARIO, 4)
    y = routes.to_rows(layer(routes.to_tiles(x), routes))
    for row, p in enumerate(SCENARIO.tolist()):
        weight = layer.weight * (1.0 + layer.scenario_weight[p - 1])
        expected = x[row] @ weight + layer.bias + layer.scenario_bias[p - 1]
        assert torch.allclose(y[row], expected, rtol=0, atol=1e-14)


def test_a_star_layer_is_the_shared_one_when_the_scenario_is_unseen() -> None:
    torch.manual_seed(0)
    layer = StarLinear(4, 3, 2)
    nn.init.normal_(layer.scenario_weight)
    nn.init.normal_(layer.scenario_bias)
    x = torch.randn(5, 3)
    routes = route(torch.zeros(5, dtype=torch.int64), 4)
    y = routes.to_rows(layer(routes.to_tiles(x), routes))
    assert torch.allclose(y, x @ layer.weight + layer.bias, atol=1e-6)


def test_partitioned_norm_uses_its_own_scenarios_rows_in_training() -> None:
    norm = norm_away_from_its_start()
    x = torch.randn(7, 2, dtype=torch.float64)
    y = norm(x, SCENARIO)
    for row in (0, 1, 2, 3, 5, 6):
        own = x[torch.eq(SCENARIO, SCENARIO[row])]
        mean = own.mean(dim=0)
        variance = ((own - mean) ** 2).mean(dim=0)
        expected = normalised(norm, x[row], int(SCENARIO[row]), mean, variance)
        assert torch.allclose(y[row], expected, rtol=0, atol=1e-12)


def test_moving_statistics_follow_each_scenario_and_index_0_follows_all_rows() -> None:
    norm = norm_away_from_its_start()
    mean, variance = norm.moving_mean.clone(), norm.moving_variance.clone()
    x = torch.randn(7, 2, dtype=torch.float64)
    norm(x, SCENARIO)
    for scenario, rows in ((0, x), (1, x[SCENARIO == 1]), (2, x[SCENARIO == 2])):
        expected = 0.9 * mean[scenario] + 0.1 * rows.mean(dim=0)
        assert torch.allclose(norm.moving_mean[scenario], expected, rtol=0, atol=1e-14)
        expected = 0.9 * variance[scenario] + 0.1 * rows.var(dim=0)
        assert torch.allclose(norm.moving_variance[scenario], expected, rtol=0, atol=1e-14)


def test_a_single_row_is_normalised_by_the_moving_statistics_and_leaves_them() -> None:
    norm = norm_away_from_its_start()
    mean, variance = norm.moving_mean[3].clone(), norm.moving_variance[3].clone()
    x = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    y = norm(x, SCENARIO)
    assert torch.allclose(y[4], normalised(norm, x[4], 3, mean, variance), rtol=0, atol=1e-12)
    assert torch.equal(norm.moving_mean[3], mean)
    assert torch.equal(norm.moving_variance[3], variance)
    y.sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad[4].all()  # it is no constant, as it would be less its own mean


def test_partitioned_norm_uses_moving_statistics_in_evaluation() -> None:
    norm = norm_away_from_its_start().eval()
    scenario = torch.tensor([0, 1, 2, 3])
    before = norm.moving_mean.clone()
    x = torch.randn(4, 2, dtype=torch.float64)
    y = norm(x, scenario)
    for p in range(4):
        expected = normalised(norm, x[p], p, norm.moving_mean[p], norm.moving_variance[p])
        assert torch.allclose(y[p], expected, rtol=0, atol=1e-12)
    assert torch.equal(norm.moving_mean, before)
