from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp

import pytest
import torch
from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.errors import ModelSettingsError
from training.layers.gates import GateNU
from training.models.base import Ranker
from training.models.build import build
from training.models.mmoe import MMoE
from training.models.pooled_mlp import PooledMLP
from training.models.poso_mha import PosoMHA
from training.models.poso_mlp import PosoMLP
from training.models.poso_mmoe import PosoMMoE

MakeBatch = Callable[..., Batch]
POSO = ("poso_mlp", "poso_mha", "poso_mmoe")


def opened(model: Ranker) -> Ranker:
    """In float64, with gates that are open to different degrees."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model.double()


def gated(gate: GateNU, activity: Tensor) -> Tensor:
    """2 sigmoid(W2 relu(W1 x + b1) + b2) for one row."""
    hidden = torch.relu(gate.hidden.weight @ activity + gate.hidden.bias)
    scores = (gate.out.weight @ hidden + gate.out.bias).tolist()
    return torch.tensor([2 / (1 + exp(-score)) for score in scores], dtype=torch.float64)


def gates_of(model: Ranker) -> list[GateNU]:
    return [module for module in model.modules() if isinstance(module, GateNU)]


def test_poso_mlp_gates_the_outputs_of_every_hidden_layer(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = opened(PosoMLP(tiny_spec, tiny_config, gate_hidden=4))
    batch = random_batch(rows=4, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        newcomer = batch.numeric[row, 3:4]
        for layer, gate in zip(model.layers, model.gates, strict=True):
            x = gated(gate, newcomer) * torch.relu(layer.weight @ x + layer.bias)
        expected = model.out.weight @ x + model.out.bias
        assert logits[row].tolist() == pytest.approx(expected.tolist(), rel=1e-10)


def test_poso_mmoe_gates_every_expert_and_leaves_the_mixing_to_the_tasks(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = opened(PosoMMoE(tiny_spec, tiny_config, experts=2, tower=(5,), gate_hidden=4))
    batch = random_batch(rows=4, dtype=torch.float64)
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        personal = gated(model.personal_gates, batch.numeric[row, 3:4]).split(6)
        experts = []
        for i in range(2):
            hidden = x
            for layer in (model.experts[0], model.experts[2]):
                hidden = torch.relu(hidden @ layer.weight[i] + layer.bias[i])
            experts.append(personal[i] * hidden)
        for task in range(3):
            scores = (x @ model.task_gates[0].weight[task] + model.task_gates[0].bias[task]).exp()
            mixed = (scores[0] * experts[0] + scores[1] * experts[1]) / scores.sum()
            tower, out = model.towers[0], model.towers[2]
            hidden = torch.relu(mixed @ tower.weight[task] + tower.bias[task])
            expected = hidden @ out.weight[task, :, 0] + out.bias[task, 0]
            assert logits[row, task].item() == pytest.approx(expected.item(), rel=1e-10)


def test_poso_mha_reads_attention_gated_by_the_users_activity(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    """Attention is tested against its own equations in test_attention."""
    torch.manual_seed(0)
    model = opened(PosoMHA(tiny_spec, tiny_config, attention=4, gate_hidden=4))
    batch = random_batch(rows=6, dtype=torch.float64)
    assert not batch.mask.any(dim=1).all(), "one row should have no history"
    logits, inputs = model(batch), model.inputs(batch)
    flat = inputs.of(Role.SCENARIO, Role.USER, Role.ITEM, Role.GENERAL)
    for row, x in enumerate(flat):
        newcomer, one = batch.numeric[row, 3:4], slice(row, row + 1)
        gates = [gated(gate, newcomer).unsqueeze(0) for gate in (model.key_gate, model.value_gate)]
        attended = model.attention(flat[one], inputs.sequence[one], batch.mask[one], *gates)[0]
        x = torch.cat([x, attended])
        for layer in (model.mlp[0], model.mlp[2]):
            x = torch.relu(layer.weight @ x + layer.bias)
        expected = model.out.weight @ x + model.out.bias
        assert logits[row].tolist() == pytest.approx(expected.tolist(), rel=1e-10)


@pytest.mark.parametrize(("name", "base"), [("poso_mlp", PooledMLP), ("poso_mmoe", MMoE)])
def test_a_fresh_poso_equals_the_base_network_bit_for_bit(
    name: str, base: type[Ranker], tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model, plain = build(name, tiny_spec, tiny_config), base(tiny_spec, tiny_config)
    of_gates = {id(parameter) for gate in gates_of(model) for parameter in gate.parameters()}
    weights = [parameter for parameter in model.parameters() if id(parameter) not in of_gates]
    with torch.no_grad():
        for own, parameter in zip(plain.parameters(), weights, strict=True):
            own.copy_(parameter)
    batch = random_batch()
    assert torch.equal(model(batch), plain(batch))


def test_a_fresh_poso_mha_equals_its_base_network_bit_for_bit(
    tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = PosoMHA(tiny_spec, tiny_config)
    batch = random_batch()
    fresh = model(batch)
    for name in ("key_gate", "value_gate"):
        setattr(model, name, Ones(getattr(model, name).out.out_features))
    assert torch.equal(fresh, model(batch))


class Ones(nn.Module):
    """Stands in for a gate: leaves everything as it is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, activity: Tensor) -> Tensor:
        return activity.new_ones(len(activity), self.width)


@pytest.mark.parametrize("name", POSO)
def test_posos_gates_read_how_active_a_user_is_and_not_who_the_user_is(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = opened(build(name, tiny_spec, tiny_config))
    seen: list[Tensor] = []
    for gate in gates_of(model):
        gate.register_forward_hook(lambda module, inputs, output: seen.append(output))
    assert gates_of(model)

    def gates(batch: Batch) -> list[Tensor]:
        seen.clear()
        model(batch)
        return list(seen)

    batch = random_batch(dtype=torch.float64)
    as_they_are = gates(batch)
    # Everything but the newcomer feature changes.
    others = batch.numeric.clone()
    others[:, :3] += 1.0
    elsewhere = random_batch(seed=1, dtype=torch.float64)
    for one, other in zip(as_they_are, gates(replace(elsewhere, numeric=others)), strict=True):
        assert torch.equal(one, other)
    # Nothing but the newcomer feature changes.
    newer = batch.numeric.clone()
    newer[:, 3] += 1.0
    for one, other in zip(as_they_are, gates(replace(batch, numeric=newer)), strict=True):
        assert ((one - other).abs() > 1e-6).any(dim=1).all()


@pytest.mark.parametrize("name", POSO)
def test_poso_says_so_when_no_number_tells_new_users_from_old_ones(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig
) -> None:
    spec = tiny_spec.model_copy(update={"numerics": tiny_spec.numerics[:3]})
    with pytest.raises(ModelSettingsError, match=r"service ranker_v1 has no number of role user"):
        build(name, spec, tiny_config)
