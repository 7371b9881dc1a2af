from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from training.config import TrainConfig
from training.layers.tables import Table
from training.optimizers import ROWS_PER_LOOKUP, RowAdam, make_optimizers

SMALL, LARGE = 3 * ROWS_PER_LOOKUP, 3 * ROWS_PER_LOOKUP + 1  # at three look-ups a row and one row a batch


class Network(nn.Module):
    def __init__(self, rows: int) -> None:
        super().__init__()
        self.table = Table(rows, 2, lookups=3)
        self.linear = nn.Linear(2, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.linear(self.table(ids)).sum()


def step(model: Network, config: TrainConfig) -> dict[str, torch.Tensor]:
    """What one step on row 1 changes."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizers = make_optimizers(model, config)
    model(torch.tensor([1])).backward()
    for optimizer in optimizers:
        optimizer.step()
    return {name: value - before[name] for name, value in model.state_dict().items()}


def test_every_parameter_moves_once_whatever_the_size_of_the_table():
    for rows in (SMALL, LARGE):
        change = step(Network(rows), TrainConfig(lr=0.01, embedding_lr=0.1, batch_size=1))
        # Adam's first step is the learning rate, whatever the gradient.
        torch.testing.assert_close(change["linear.weight"].abs(), torch.full((1, 2), 0.01), rtol=1e-3, atol=0)
        torch.testing.assert_close(change["table.weight"][1].abs(), torch.full((2,), 0.1), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("rows", "batch_size", "by_rows"), [(SMALL, 1, False), (LARGE, 1, True), (LARGE, 2, False)]
)
def test_a_table_is_stepped_by_rows_where_a_batch_reads_few_of_them(
    rows: int, batch_size: int, by_rows: bool
):
    model = Network(rows)
    kinds = [type(optimizer) for optimizer in make_optimizers(model, TrainConfig(batch_size=batch_size))]
    assert kinds == ([AdamW, RowAdam] if by_rows else [AdamW])
    model(torch.tensor([1])).backward()
    assert model.table.weight.grad is not None
    assert model.table.weight.grad.is_sparse == by_rows


def test_weight_decay_leaves_embedding_rows_and_biases_alone():
    for rows in (SMALL, LARGE):
        model = Network(rows)
        model.linear.bias.requires_grad_(False)
        change = step(model, TrainConfig(lr=0.1, weight_decay=0.5, batch_size=1))
        assert not change["table.weight"][2:].any()
        assert not change["linear.bias"].any()


def test_stepping_by_rows_is_adam_where_every_row_is_read():
    gradients = torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(1))
    by_rows, dense = (nn.Embedding(6, 3, sparse=sparse) for sparse in (True, False))
    dense.load_state_dict(by_rows.state_dict())
    one = RowAdam([by_rows.weight], 0.01, weight_decay=0.1)
    other = AdamW([dense.weight], lr=0.01, weight_decay=0.1)
    for gradient in gradients:
        for table, optimizer in ((by_rows, one), (dense, other)):
            optimizer.zero_grad()
            # Row 2 is read twice: its gradients add up.
            table(torch.tensor([0, 1, 2, 3, 4, 5, 2])).backward(torch.cat([gradient, gradient[:1]]))
            optimizer.step()
    torch.testing.assert_close(by_rows.weight, dense.weight)


def test_stepping_by_rows_leaves_the_other_rows_alone_whatever_moved_them_before():
    table = nn.Embedding(6, 3, sparse=True)
    optimizer = RowAdam([table.weight], 0.01, weight_decay=0.1)
    for row in (1, 2):
        before = table.weight.detach().clone()
        optimizer.zero_grad()
        table(torch.tensor([row])).sum().backward()
        optimizer.step()
        assert (table.weight != before).any(dim=1).nonzero().flatten().tolist() == [row]


def test_embedding_decay_shrinks_the_rows_that_are_read_in_small_tables_too():
    model, config = Network(5), TrainConfig(lr=0.1, embedding_lr=0.1, embedding_decay=0.5)
    nn.init.zeros_(model.linear.weight)  # so that the table has no gradient of its own
    before = model.table.weight.detach().clone()
    change = step(model, config)["table.weight"]
    torch.testing.assert_close(change[1], -0.1 * 0.5 * before[1])
    assert not change[[0, 2, 3, 4]].any()
