from __future__ import annotations

import torch
from torch import nn

from training.layers.lowrank import GeneratedCore
from training.layers.routing import route

SCENARIO = torch.tensor([1, 2, 0, 1, 2, 2])


def test_a_generated_core_stands_between_two_shared_matrices() -> None:
    torch.manual_seed(0)
    layer = GeneratedCore(3, 5, 2, 4).double()
    nn.init.normal_(layer.G)
    nn.init.normal_(layer.g)
    x, z = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    y = layer(x, z)
    for row in range(6):
        core = sum((z[row, r] * layer.G[r] for r in range(3)), start=layer.g)
        expected = layer.U.weight @ (core.T @ (layer.V.weight @ x[row])) + layer.U.bias
        assert torch.allclose(y[row], expected, rtol=0, atol=1e-13)


def test_a_core_generated_once_per_scenario_equals_one_generated_for_every_row() -> None:
    torch.manual_seed(0)
    layer = GeneratedCore(3, 5, 2, 4).double()
    nn.init.normal_(layer.G)
    x, z = torch.randn(6, 5, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
    by_scenario = layer(x, z, route(SCENARIO, 3))
    assert torch.allclose(by_scenario, layer(x, z[SCENARIO]), rtol=0, atol=1e-13)


def test_a_fresh_core_is_nearly_the_identity_for_all_conditions() -> None:
    torch.manual_seed(0)
    layer = GeneratedCore(8, 30, 16, 30)
    x, z = torch.randn(200, 30), torch.randn(200, 8)
    shared = layer.U(layer.V(x))
    assert (layer(x, z) - shared).std() < 0.2 * shared.std()
    assert not torch.equal(layer(x, z), shared)
