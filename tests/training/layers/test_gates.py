from __future__ import annotations

from math import exp

import pytest
import torch

from training.layers.gates import GateNU, GroupGate


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def opened(gate: GateNU) -> GateNU:
    """The gate with a last layer away from its zero start."""
    torch.nn.init.normal_(gate.out.weight)
    torch.nn.init.normal_(gate.out.bias)
    return gate


def test_gate_nu_is_twice_a_sigmoid_of_two_dense_layers() -> None:
    torch.manual_seed(0)
    gate = opened(GateNU(3, 4, 2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    w1, b1 = gate.hidden.weight.tolist(), gate.hidden.bias.tolist()
    w2, b2 = gate.out.weight.tolist(), gate.out.bias.tolist()
    for row, seen in zip(x.tolist(), gate(x).tolist(), strict=True):
        hidden = [max(0.0, sum(w * v for w, v in zip(w1[j], row, strict=True)) + b1[j]) for j in range(4)]
        expected = [
            2 * sigmoid(sum(w * v for w, v in zip(w2[o], hidden, strict=True)) + b2[o]) for o in range(2)
        ]
        assert seen == pytest.approx(expected, rel=1e-12)


def test_gate_nu_is_exactly_one_when_fresh() -> None:
    assert torch.equal(GateNU(3, 4, 2)(torch.randn(50, 3)), torch.ones(50, 2))


def test_gate_nu_opens_above_one_and_below_two() -> None:
    torch.manual_seed(0)
    values = opened(GateNU(8, 8, 4))(torch.randn(500, 8))
    assert 0.0 < values.min() < 0.5
    assert 1.5 < values.max() < 2.0


def test_gate_nu_learns_from_its_last_layer_first_and_from_all_layers_after_one_step() -> None:
    torch.manual_seed(0)
    gate = GateNU(3, 4, 2)
    optimizer = torch.optim.SGD(gate.parameters(), lr=0.1)
    x, target = torch.randn(20, 3), torch.randn(20, 2)
    (gate(x) * target).sum().backward()
    zero = {name for name, parameter in gate.named_parameters() if not parameter.grad.abs().any()}
    assert zero == {"hidden.weight", "hidden.bias"}
    optimizer.step()
    optimizer.zero_grad()
    (gate(x) * target).sum().backward()
    assert all(parameter.grad.abs().any() for parameter in gate.parameters())


def test_group_gate_is_exactly_one_when_fresh() -> None:
    assert torch.equal(GroupGate(4, 3)(torch.arange(4)), torch.ones(4, 3))


def test_group_gate_is_twice_the_sigmoid_of_the_groups_own_vector() -> None:
    torch.manual_seed(0)
    gate = GroupGate(3, 2).double()
    torch.nn.init.normal_(gate.r.weight)
    values = gate(torch.tensor([2, 0, 2]))
    for seen, group in zip(values.tolist(), (2, 0, 2), strict=True):
        assert seen == pytest.approx([2 * sigmoid(r) for r in gate.r.weight[group].tolist()], rel=1e-12)


def test_group_gate_stays_one_when_the_group_was_never_trained() -> None:
    gate = GroupGate(3, 2)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        gate(torch.tensor([1, 2])).sum().backward()
        optimizer.step()
    assert torch.equal(gate(torch.tensor([0])), torch.ones(1, 2))
    assert not torch.equal(gate(torch.tensor([1])), torch.ones(1, 2))
