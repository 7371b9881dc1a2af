from __future__ import annotations

import torch

from training.layers.towers import MLP, ParallelLinear, ParallelMLP, TaskTowers, repeated


def test_an_mlp_follows_every_dense_layer_with_relu() -> None:
    torch.manual_seed(0)
    mlp = MLP(3, (4, 2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    first, second = mlp[0], mlp[2]
    expected = torch.relu(torch.relu(x @ first.weight.T + first.bias) @ second.weight.T + second.bias)
    assert torch.allclose(mlp(x), expected, atol=1e-14)


def test_parallel_layers_each_read_their_own_slice() -> None:
    torch.manual_seed(0)
    layer = ParallelLinear(3, 4, 2).double()
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    for row in range(5):
        for n in range(3):
            expected = x[row, n] @ layer.weight[n] + layer.bias[n]
            assert torch.allclose(layer(x)[row, n], expected, atol=1e-14)


def test_parallel_mlps_share_nothing_but_the_input() -> None:
    torch.manual_seed(0)
    mlps = ParallelMLP(2, 3, (4, 5))
    x = torch.randn(6, 3)
    before = mlps(repeated(x, 2))
    with torch.no_grad():
        mlps[0].weight[0] += 1.0
        mlps[0].bias[0] += 1.0
    after = mlps(repeated(x, 2))
    assert before.shape == (6, 2, 5)
    assert not torch.equal(before[:, 0], after[:, 0])
    assert torch.equal(before[:, 1], after[:, 1])


def test_parallel_layers_read_one_input_as_if_it_were_repeated() -> None:
    torch.manual_seed(0)
    layer = ParallelLinear(3, 4, 2).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    results = []
    for seen in (x.clone().requires_grad_(), repeated(x, 3).clone().requires_grad_()):
        output = layer(seen)
        grad, *of_layer = torch.autograd.grad(output.square().sum(), [seen, *layer.parameters()])
        results.append((output, grad if grad.dim() == 2 else grad.sum(dim=1), *of_layer))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-12)


def test_a_tasks_tower_ends_in_its_logit() -> None:
    torch.manual_seed(0)
    towers = TaskTowers(2, 3, (4,)).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    logits = towers(x)
    assert logits.shape == (5, 2)
    for row in range(5):
        for task in range(2):
            hidden = torch.relu(x[row, task] @ towers[0].weight[task] + towers[0].bias[task])
            expected = hidden @ towers[2].weight[task, :, 0] + towers[2].bias[task, 0]
            assert torch.allclose(logits[row, task], expected, atol=1e-14)
