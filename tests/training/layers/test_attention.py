from __future__ import annotations

from math import exp, sqrt

import pytest
import torch

from training.errors import ModelSettingsError
from training.layers.attention import GatedAttention, SelfAttention

WIDTH, HEADS, LENGTH, EVENT = 4, 2, 3, 3


@pytest.fixture
def attention() -> SelfAttention:
    torch.manual_seed(0)
    return SelfAttention(WIDTH, HEADS).double()


def restated(attention: SelfAttention, row: torch.Tensor, mask: list[bool]) -> list[list[float]]:
    """One row [L, width], position by position and head by head."""
    projected = (row @ attention.qkv.weight.T).tolist()
    size = WIDTH // HEADS
    outputs = []
    for i in range(LENGTH):
        joined: list[float] = []
        for head in range(HEADS):
            start = head * size
            query = projected[i][start : start + size]
            weights = []
            for j in range(LENGTH):
                key = projected[j][WIDTH + start : WIDTH + start + size]
                score = sum(q * k for q, k in zip(query, key, strict=True)) / sqrt(size)
                weights.append(exp(score) if mask[j] else 0.0)
            for column in range(size):
                values = [projected[j][2 * WIDTH + start + column] for j in range(LENGTH)]
                joined.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
        output = attention.out.weight @ torch.tensor(joined, dtype=torch.float64) + attention.out.bias
        outputs.append(output.tolist() if mask[i] else [0.0] * WIDTH)
    return outputs


@pytest.mark.parametrize("mask", [[True, True, True], [True, True, False], [False, True, False]])
def test_attention_is_scaled_dot_product_attention_over_the_events_of_a_row(
    attention: SelfAttention, mask: list[bool]
) -> None:
    x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    seen = attention(x, torch.tensor([mask]))[0]
    assert torch.allclose(
        seen, torch.tensor(restated(attention, x[0], mask), dtype=torch.float64), atol=1e-12
    )


def test_attention_gives_zeros_and_finite_gradients_when_a_row_is_empty(attention: SelfAttention) -> None:
    x = torch.randn(2, LENGTH, WIDTH, dtype=torch.float64, requires_grad=True)
    output = attention(x, torch.tensor([[True, True, True], [False, False, False]]))
    output.square().sum().backward()
    assert x.grad is not None
    assert torch.equal(output[1], torch.zeros(LENGTH, WIDTH, dtype=torch.float64))
    assert torch.equal(x.grad[1], torch.zeros(LENGTH, WIDTH, dtype=torch.float64))
    assert all(parameter.grad.isfinite().all() for parameter in attention.parameters())


def test_attention_does_not_read_padding(attention: SelfAttention) -> None:
    x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    mask = torch.tensor([[True, True, False]])
    changed = x.clone()
    changed[0, 2] += 100.0
    assert torch.equal(attention(x, mask), attention(changed, mask))


def test_attention_of_a_row_is_the_same_when_its_neighbours_change(attention: SelfAttention) -> None:
    x = torch.randn(4, LENGTH, WIDTH, dtype=torch.float64)
    mask = torch.ones(4, LENGTH, dtype=torch.bool)
    alone = attention(x[:1], mask[:1])
    changed = torch.cat([x[:1], torch.randn(3, LENGTH, WIDTH, dtype=torch.float64)])
    assert torch.allclose(attention(changed, mask)[:1], alone, atol=1e-14)


def test_attention_says_so_when_the_heads_do_not_divide_the_width() -> None:
    with pytest.raises(ModelSettingsError, match="3 attention heads do not divide a width of 4"):
        SelfAttention(4, 3)


def gated() -> GatedAttention:
    torch.manual_seed(0)
    return GatedAttention(5, EVENT, WIDTH, HEADS).double()


def restated_gated(
    attention: GatedAttention, x: torch.Tensor, events: torch.Tensor, keys: list[float], values: list[float]
) -> list[float]:
    """One row, head by head and event by event, with gates where the paper has them: on keys and values."""
    size = WIDTH // HEADS
    query = (attention.query.weight @ x + attention.query.bias).tolist()
    joined: list[float] = []
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        weights, seen = [], []
        for event in events:
            key = (attention.key.weight[own] @ event).tolist()
            value = (attention.value.weight[own] @ event).tolist()
            key = [gate * k for gate, k in zip(keys, key, strict=True)]
            seen.append([gate * v for gate, v in zip(values[own], value, strict=True)])
            weights.append(exp(sum(q * k for q, k in zip(query[own], key, strict=True)) / sqrt(size)))
        for column in range(size):
            mixed = sum(w * v[column] for w, v in zip(weights, seen, strict=True))
            joined.append(mixed / sum(weights) if weights else 0.0)
    return joined


def test_gated_attention_gates_keys_alike_in_all_heads_and_values_in_each() -> None:
    attention = gated()
    x, events = torch.randn(4, 5).double(), torch.randn(4, LENGTH, EVENT).double()
    mask = torch.tensor([[True] * 3, [True, True, False], [False, True, False], [False] * 3])
    keys, values = 2 * torch.rand(4, WIDTH // HEADS).double(), 2 * torch.rand(4, WIDTH).double()
    seen = attention(x, events, mask, keys, values)
    for row in range(4):
        expected = restated_gated(
            attention, x[row], events[row][mask[row]], keys[row].tolist(), values[row].tolist()
        )
        assert seen[row].tolist() == pytest.approx(expected, rel=1e-12)


def test_gated_attention_has_finite_gradients_when_a_row_has_no_events() -> None:
    attention = gated()
    events = torch.randn(2, LENGTH, EVENT, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False] * 3])
    gates = torch.ones(2, WIDTH // HEADS).double(), torch.ones(2, WIDTH).double()
    output = attention(torch.randn(2, 5).double(), events, mask, *gates)
    output.square().sum().backward()
    assert output[1].tolist() == [0.0] * WIDTH
    assert events.grad is not None
    assert events.grad[0, :2].all()
    assert not events.grad[~mask].any()


def test_gated_attention_says_so_when_the_heads_do_not_divide_the_width() -> None:
    with pytest.raises(ModelSettingsError, match="3 attention heads do not divide a width of 4"):
        GatedAttention(5, EVENT, 4, 3)
