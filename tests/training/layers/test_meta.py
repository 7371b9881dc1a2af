from __future__ import annotations

import pytest
import torch

from training.layers.meta import MetaLayer, MetaUnit
from training.layers.routing import route

COUNT, WIDTH = 2, 6


def randomised(layer: MetaLayer) -> MetaLayer:
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer.double()


@pytest.mark.parametrize("vectors", [1, 3])
@pytest.mark.parametrize("knowledge", [2, 5, 9])
def test_a_meta_layer_applies_the_weights_its_row_generates(vectors: int, knowledge: int) -> None:
    torch.manual_seed(0)
    layer = randomised(MetaLayer(COUNT, knowledge, WIDTH))
    hidden = torch.randn(4, COUNT, vectors, WIDTH, dtype=torch.float64)
    known = torch.randn(4, knowledge, dtype=torch.float64)
    seen = layer(hidden, known)
    for row in range(4):
        for unit in range(COUNT):
            weight, bias = layer.v_w[unit].clone(), layer.v_b[unit].clone()
            for r in range(knowledge):
                weight += known[row, r] * layer.V_w[unit, r]
                bias += known[row, r] * layer.V_b[unit, r]
            for m in range(vectors):
                assert torch.allclose(seen[row, unit, m], hidden[row, unit, m] @ weight + bias, atol=1e-12)


@pytest.mark.parametrize("knowledge", [2, 9])
def test_a_meta_layer_reads_what_all_layers_share_and_a_constant_behind_it_as_if_written_out(
    knowledge: int,
) -> None:
    torch.manual_seed(0)
    layer = randomised(MetaLayer(COUNT, knowledge, WIDTH))
    known = torch.randn(4, knowledge, dtype=torch.float64)
    shared, constant = (torch.randn(*shape, dtype=torch.float64) for shape in ((4, 3, 4), (COUNT, 2)))
    results = []
    for written_out in (False, True):
        inputs = [shared.clone().requires_grad_(), constant.clone().requires_grad_()]
        if written_out:
            hidden, behind = inputs[0].unsqueeze(1), inputs[1].unsqueeze(1)
            whole = torch.cat([hidden.expand(4, COUNT, 3, 4), behind.expand(4, COUNT, 3, 2)], dim=-1)
            output = layer(whole, known)
        else:
            output = layer(inputs[0], known, inputs[1])
        grads = torch.autograd.grad(output.square().sum(), [*inputs, *layer.parameters()])
        results.append((output, *grads))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(COUNT, 2), (2,)])
def test_weighing_vectors_and_weighing_matrices_agree_in_value_and_gradient(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = randomised(MetaLayer(COUNT, 3, WIDTH))
    known = torch.randn(5, 3, dtype=torch.float64)
    hidden = torch.randn(5, *shape, WIDTH, dtype=torch.float64)
    results = []
    for product in (layer._weigh_vectors, layer._weigh_matrices):
        inputs = [tensor.clone().requires_grad_() for tensor in (hidden, known, layer.V_w)]
        output = product(*inputs)
        results.append((output, *torch.autograd.grad(output.square().sum(), inputs)))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_no_matrix_per_row_is_made_when_the_knowledge_is_narrow() -> None:
    rows, width = 64, 32
    layer = MetaLayer(1, 4, width)
    largest = 0

    def watch(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(watch, lambda tensor: tensor):
        layer(torch.randn(rows, 1, 1, width, requires_grad=True), torch.randn(rows, 4, requires_grad=True))
    assert 0 < largest < rows * width * width


def test_a_fresh_meta_layer_is_nearly_the_same_for_all_scenarios() -> None:
    torch.manual_seed(0)
    layer = MetaLayer(1, 8, 32)
    hidden = torch.randn(1, 1, 1, 32).expand(100, 1, 1, 32)
    outputs = layer(hidden, torch.randn(100, 8))
    assert outputs.std(dim=0).mean() < 0.2 * outputs.mean(dim=0).std()
    assert outputs.std(dim=0).mean() > 0


def test_a_meta_unit_follows_every_layer_with_leaky_relu() -> None:
    torch.manual_seed(0)
    unit = MetaUnit(COUNT, 3, WIDTH, depth=2).double()
    hidden, known = (
        torch.randn(4, COUNT, 1, WIDTH, dtype=torch.float64),
        torch.randn(4, 3, dtype=torch.float64),
    )
    expected = hidden
    for layer in unit.layers:
        expected = layer(expected, known)
        expected = torch.where(expected > 0, expected, 0.01 * expected)
    assert torch.equal(unit(hidden, known), expected)


@pytest.mark.parametrize("rows", [1, 6, 200])
def test_tiles_give_the_output_and_gradients_of_a_row_at_a_time(rows: int) -> None:
    torch.manual_seed(0)
    scenarios = 4
    unit = MetaUnit(COUNT, 3, WIDTH, depth=2).double()
    group = (torch.rand(rows).pow(3) * scenarios).long()  # scenarios of very different sizes
    hidden = torch.randn(rows, 2, WIDTH, dtype=torch.float64)
    table = torch.randn(scenarios, 3, dtype=torch.float64)
    results = []
    for tiled in (False, True):
        inputs = [hidden.clone().requires_grad_(), table.clone().requires_grad_()]
        if tiled:
            routes = route(group, scenarios)
            vectors = routes.to_tiles(inputs[0]).flatten(1, 2)  # [N, rows of a tile * 2, d]
            output = unit(vectors, inputs[1][routes.tile_group]).unflatten(2, (-1, 2))
            output = routes.to_rows(output.transpose(1, 2))
        else:
            output = unit(inputs[0], inputs[1][group])
        results.append((output, *torch.autograd.grad(output.square().sum(), [*inputs, *unit.parameters()])))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)
