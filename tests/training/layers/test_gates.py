from __future__ import annotations

from math import exp

import pytest
import torch

from training.layers.gates import GateNU, GroupGate, PriorGates, gate_input


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


def test_a_gates_input_is_all_and_trains_the_priors_alone() -> None:
    priors, context = (torch.randn(3, 2, requires_grad=True) for _ in range(2))
    read = gate_input(priors, context)
    assert torch.equal(read, torch.cat([priors, context], dim=1))
    read.sum().backward()
    assert priors.grad is not None
    assert context.grad is None


def test_prior_gates_are_a_gate_nu_for_every_layer_that_trains_its_priors_alone() -> None:
    torch.manual_seed(0)
    gates = PriorGates(2, 3, 4, (5, 6)).double()
    for parameter in gates.parameters():
        torch.nn.init.normal_(parameter)
    priors, context = (torch.randn(7, n, dtype=torch.float64, requires_grad=True) for n in (2, 3))
    values = gates(priors, context)
    first = torch.cat([gates.from_priors.weight, gates.from_context.weight], dim=1)
    for place, (head, value) in enumerate(zip(gates.heads, values, strict=True)):
        same = GateNU(5, 4, value.shape[1]).double()
        own = slice(4 * place, 4 * place + 4)
        same.hidden.load_state_dict({"weight": first[own], "bias": gates.from_priors.bias[own]})
        same.out.load_state_dict(head.out.state_dict())
        assert torch.allclose(value, same(torch.cat([priors, context], dim=1)), rtol=0, atol=1e-13)
    sum(value.sum() for value in values).backward()
    assert priors.grad.any()
    assert context.grad is None


def test_prior_gates_are_exactly_one_when_fresh() -> None:
    values = PriorGates(2, 3, 4, (5, 6))(torch.randn(7, 2), torch.randn(7, 3))
    assert [torch.equal(value, torch.ones(7, n)) for value, n in zip(values, (5, 6), strict=True)] == [
        True,
        True,
    ]


def test_group_gate_is_exactly_one_when_fresh() -> None:
    assert torch.equal(GroupGate(4, 3)(torch.arange(4)), torch.ones(4, 3))


def test_group_gate_is_twice_the_sigmoid_of_the_groups_own_vector() -> None:
    torch.manual_seed(0)
    gate = GroupGate(3, 2).double()
    torch.nn.init.normal_(gate.r)
    values = gate(torch.tensor([2, 0, 2]))
    for seen, group in zip(values.tolist(), (2, 0, 2), strict=True):
        assert seen == pytest.approx([2 * sigmoid(r) for r in gate.r[group].tolist()], rel=1e-12)


def test_group_gate_stays_one_when_the_group_was_never_trained() -> None:
    gate = GroupGate(3, 2)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        gate(torch.tensor([1, 2])).sum().backward()
        optimizer.step()
    assert torch.equal(gate(torch.tensor([0])), torch.ones(1, 2))
    assert not torch.equal(gate(torch.tensor([1])), torch.ones(1, 2))
