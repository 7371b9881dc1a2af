from __future__ import annotations

from itertools import pairwise
from math import tanh

import pytest
import torch
from torch import Tensor

from training.layers.coaction import CoAction

DIM, FEEDS, LENGTH, VOCABULARIES = 3, 2, 4, (5, 6)


def unit(widths: tuple[int, ...] = (4, 2), orders: int = 2) -> CoAction:
    torch.manual_seed(0)
    return CoAction(VOCABULARIES, FEEDS, DIM, widths, orders).double()


def restated(row: list[float], widths: tuple[int, ...], x: list[float]) -> list[float]:
    """What the micro-MLP written down in `row` makes of one vector: all layers' outputs."""
    outputs: list[float] = []
    numbers = iter(row)
    for depth, (narrow, wide) in enumerate(pairwise((DIM, *widths)), start=1):
        weight = [[next(numbers) for _ in range(wide)] for _ in range(narrow)]
        x = [sum(x[i] * weight[i][o] for i in range(narrow)) + next(numbers) for o in range(wide)]
        x = [tanh(value) for value in x] if depth < len(widths) else x
        outputs += x
    assert next(numbers, None) is None
    return outputs


def expected(unit: CoAction, widths: tuple[int, ...], induction: Tensor, fed: Tensor, mask: Tensor) -> Tensor:
    """[B, orders, I, F, sum(widths)], one event at a time."""
    rows = []
    for b in range(len(induction)):
        for order in range(1, unit.orders + 1):
            for field, index in enumerate(induction[b].tolist()):
                whole = unit.table.weight[index + sum(VOCABULARIES[:field])].view(FEEDS, -1)
                for feed in range(FEEDS):
                    total = [0.0] * sum(widths)
                    for position in range(LENGTH):
                        if mask[b, position]:
                            x = [value**order for value in fed[b, feed, position].tolist()]
                            seen = restated(whole[feed].tolist(), widths, x)
                            total = [t + s for t, s in zip(total, seen, strict=True)]
                    rows.append(total)
    return torch.tensor(rows, dtype=torch.float64).view(len(induction), -1)


@pytest.mark.parametrize("widths", [(2,), (4, 2), (4, 3, 2)])
def test_a_micro_mlp_is_the_items_row_and_reads_every_event_of_every_order(widths: tuple[int, ...]) -> None:
    coaction = unit(widths)
    torch.nn.init.normal_(coaction.table.weight)
    induction = torch.tensor([[0, 5], [4, 0], [2, 3]])
    fed = torch.randn(3, FEEDS, LENGTH, DIM, dtype=torch.float64)
    mask = torch.tensor([[True] * 4, [True, False, True, False], [False] * 4])
    seen = coaction(coaction.networks(induction), fed, mask)
    assert seen.shape == (3, coaction.width)
    assert torch.allclose(seen, expected(coaction, widths, induction, fed, mask), rtol=0, atol=1e-12)


def test_a_pairs_labels_train_the_pairs_own_numbers_of_the_items_row_alone() -> None:
    coaction = unit()
    induction = torch.tensor([[2, 3]])
    fed = torch.randn(1, FEEDS, LENGTH, DIM, dtype=torch.float64)
    seen = coaction(coaction.networks(induction), fed, torch.ones(1, LENGTH, dtype=torch.bool))
    by_pair = seen.view(1, 2, len(VOCABULARIES), FEEDS, -1)
    by_pair[:, :, 1, 0].sum().backward()  # the second induction field with the first feed
    grad = coaction.table.weight.grad.view(sum(VOCABULARIES), FEEDS, -1)
    assert grad.abs().sum(dim=2).nonzero().tolist() == [[VOCABULARIES[0] + 3, 0]]


def test_a_fresh_micro_mlp_has_no_biases() -> None:
    coaction = unit()
    zeros = torch.zeros(3, FEEDS, LENGTH, DIM, dtype=torch.float64)
    networks = coaction.networks(torch.tensor([[0, 1], [2, 3], [4, 5]]))
    assert not coaction(networks, zeros, torch.ones(3, LENGTH, dtype=torch.bool)).any()
