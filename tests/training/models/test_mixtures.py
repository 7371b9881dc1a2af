"""MMoE, PLE and AITM against their equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, sqrt

import pytest
import torch
from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.errors import ModelSettingsError
from training.layers.experts import DenseGate, Extraction
from training.layers.towers import ParallelLinear, TaskTowers
from training.models.aitm import AITM
from training.models.mmoe import MMoE
from training.models.ple import PLE

MakeBatch = Callable[..., Batch]
TASKS = 3


def layers(parallel: Sequence[nn.Module], n: int, x: Tensor) -> Tensor:
    """The n-th of parallel networks, each dense layer followed by ReLU, on one row."""
    for layer in parallel:
        if isinstance(layer, ParallelLinear):
            x = torch.relu(x @ layer.weight[n] + layer.bias[n])
    return x


def tower(towers: TaskTowers, task: int, x: Tensor) -> float:
    *hidden_layers, out, _ = towers
    hidden = layers(hidden_layers, task, x)
    return (hidden @ out.weight[task, :, 0] + out.bias[task, 0]).item()


def softmaxed(scores: list[float]) -> list[float]:
    total = sum(exp(score) for score in scores)
    return [exp(score) / total for score in scores]


def weights(gate: DenseGate, n: int, x: Tensor) -> list[float]:
    return softmaxed((x @ gate[0].weight[n] + gate[0].bias[n]).tolist())


def mixed(shares: list[float], experts: list[Tensor]) -> Tensor:
    return torch.stack([share * expert for share, expert in zip(shares, experts, strict=True)]).sum(dim=0)


def extracted(layer: Extraction, streams: list[Tensor]) -> list[Tensor]:
    """The streams of one row after one extraction layer."""
    count = layer.specific
    own = [[layers(layer.experts, t * count + n, streams[t]) for n in range(count)] for t in range(TASKS)]
    total = layer.experts[0].weight.shape[0]
    shared = [layers(layer.experts, n, streams[TASKS]) for n in range(TASKS * count, total)]
    seen = [mixed(weights(layer.task_gates, t, streams[t]), own[t] + shared) for t in range(TASKS)]
    if not layer.last:
        everything = [expert for of_task in own for expert in of_task] + shared
        seen.append(mixed(weights(layer.shared_gate, 0, streams[TASKS]), everything))
    return seen


def test_mmoe_mixes_shared_experts_by_a_gate_of_each_task(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = MMoE(tiny_spec, tiny_config, experts=4, tower=(5,)).double()
    batch = random_batch(rows=4, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        experts = [layers(model.experts, n, x) for n in range(4)]
        for task in range(TASKS):
            expected = tower(model.towers, task, mixed(weights(model.gates, task, x), experts))
            assert logits[row, task].item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("extractions", [1, 2, 3])
def test_ple_extracts_layer_by_layer(
    extractions: int, tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = PLE(tiny_spec, tiny_config, extractions=extractions, specific=2, shared=1).double()
    batch = random_batch(rows=4, dtype=torch.float64)
    logits = model(batch)
    assert len(model.extractions) == extractions
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        streams = [x] * (TASKS + 1)
        for layer in model.extractions:
            streams = extracted(layer, streams)
        expected = [tower(model.towers, task, streams[task]) for task in range(TASKS)]
        assert logits[row].tolist() == pytest.approx(expected, rel=1e-10)


def test_one_tasks_labels_train_its_own_and_the_shared_experts_of_ple(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    """In the last layer; before it the shared stream carries every task's experts to every task."""
    torch.manual_seed(0)
    model = PLE(tiny_spec, tiny_config, specific=1, shared=1)
    model(random_batch(rows=64))[:, 1].sum().backward()
    first, last = model.extractions
    assert [bool(grad.any()) for grad in last.experts[0].weight.grad] == [False, True, False, True]
    assert all(grad.any() for grad in first.experts[0].weight.grad)
    for layer in (model.towers[0], last.task_gates[0]):
        assert [bool(grad.any()) for grad in layer.weight.grad] == [False, True, False]


@pytest.mark.parametrize("setting", ["extractions", "specific", "shared"])
def test_ple_says_so_when_it_is_to_have_none_of_a_kind(
    setting: str, tiny_spec: InputSpec, tiny_config: TrainConfig
) -> None:
    with pytest.raises(ModelSettingsError, match=rf"0 {setting}.* set each to 1 or more"):
        PLE(tiny_spec, tiny_config, **{setting: 0})


def test_aitm_hands_on_from_task_to_task(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = AITM(tiny_spec, tiny_config).double()
    width = tiny_config.hidden[-1]
    batch = random_batch(rows=4, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        known = layers(model.networks, 0, x)
        for task in range(TASKS):
            if task:
                info, transfer = model.handed_on[task - 1][0], model.transfers[task - 1]
                handed = torch.relu(info.weight @ known + info.bias)
                values, scores = [], []
                for u in (handed, layers(model.networks, task, x)):
                    h1, h2, h3 = (transfer.h.weight @ u + transfer.h.bias).split(width)
                    values.append(h1)
                    scores.append((h2 @ h3).item() / sqrt(width))
                known = mixed(softmaxed(scores), values)
            expected = known @ model.out.weight[task, :, 0] + model.out.bias[task, 0]
            assert logits[row, task].item() == pytest.approx(expected.item(), rel=1e-10)


def test_a_task_of_aitm_trains_the_tasks_before_it_and_none_behind(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = AITM(tiny_spec, tiny_config)
    model(random_batch(rows=64))[:, 1].sum().backward()
    assert [bool(grad.any()) for grad in model.networks[0].weight.grad] == [True, True, False]
    assert model.transfers[0].h.weight.grad.any()
    assert not model.transfers[1].h.weight.grad.any()
