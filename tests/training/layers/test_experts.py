from __future__ import annotations

from math import exp

import pytest
import torch
from torch import Tensor

from training.layers.experts import DenseGate, ExpertGate, Extraction

TASKS, SPECIFIC, SHARED, ROWS = 3, 2, 2, 4


def softmaxed(scores: list[float]) -> list[float]:
    total = sum(exp(score) for score in scores)
    return [exp(score) / total for score in scores]


def dense(gate: DenseGate, n: int, x: Tensor) -> list[float]:
    """Weights of the n-th gate for one row."""
    return softmaxed((x @ gate[0].weight[n] + gate[0].bias[n]).tolist())


def test_a_dense_gate_is_a_softmax_over_experts_that_a_hook_on_expert_gates_sees() -> None:
    torch.manual_seed(0)
    gate = DenseGate(TASKS, 5, 4).double()
    seen: list[Tensor] = []
    for module in gate.modules():
        if isinstance(module, ExpertGate):
            module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    x = torch.randn(ROWS, 5, dtype=torch.float64)
    weights = gate(x)
    assert weights.shape == (ROWS, TASKS, 4)
    for row in range(ROWS):
        for task in range(TASKS):
            assert weights[row, task].tolist() == pytest.approx(dense(gate, task, x[row]), rel=1e-12)
    assert len(seen) == 1
    assert torch.equal(seen[0], weights)


def extraction(last: bool) -> Extraction:
    torch.manual_seed(0)
    return Extraction(TASKS, 5, (6, 4), specific=SPECIFIC, shared=SHARED, last=last).double()


def restated(layer: Extraction, streams: Tensor) -> list[Tensor]:
    """One row's streams [T + 1, inputs] after the layer, a stream and an expert at a time."""

    def expert(n: int, x: Tensor) -> Tensor:
        for linear in (layer.experts[0], layer.experts[2]):
            x = torch.relu(x @ linear.weight[n] + linear.bias[n])
        return x

    common = [expert(TASKS * SPECIFIC + n, streams[TASKS]) for n in range(SHARED)]
    mixed, everything = [], []
    for task in range(TASKS):
        own = [expert(task * SPECIFIC + n, streams[task]) for n in range(SPECIFIC)]
        everything += own
        weights = dense(layer.task_gates, task, streams[task])
        mixed.append(sum(w * e for w, e in zip(weights, own + common, strict=True)))
    if not layer.last:
        weights = dense(layer.shared_gate, 0, streams[TASKS])
        mixed.append(sum(w * e for w, e in zip(weights, everything + common, strict=True)))
    return mixed


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("common", [False, True])
def test_an_extraction_layer_mixes_a_tasks_own_experts_with_the_shared_ones(last: bool, common: bool) -> None:
    layer = extraction(last)
    x = torch.randn(ROWS, 5, dtype=torch.float64)
    streams = x.unsqueeze(1).expand(-1, TASKS + 1, -1) if common else torch.randn(ROWS, TASKS + 1, 5).double()
    seen = layer(x if common else streams)
    for row in range(ROWS):
        expected = torch.stack(restated(layer, streams[row]))
        assert torch.allclose(seen[row], expected, rtol=0, atol=1e-12)


def test_a_task_trains_its_own_and_the_shared_experts_and_no_other_tasks() -> None:
    layer = extraction(last=True)
    layer(torch.randn(ROWS, 5, dtype=torch.float64))[:, 1].sum().backward()
    trained = [bool(grad.any()) for grad in layer.experts[0].weight.grad]
    assert trained == [False, False, True, True, False, False, True, True]
    assert [bool(grad.any()) for grad in layer.task_gates[0].weight.grad] == [False, True, False]


def test_the_shared_stream_trains_all_experts() -> None:
    layer = extraction(last=False)
    layer(torch.randn(ROWS, 5, dtype=torch.float64))[:, -1].sum().backward()
    assert all(grad.any() for grad in layer.experts[0].weight.grad)
