from __future__ import annotations

import torch
from torch import nn

from training.config import TrainConfig
from training.optimizers import SPARSE_ROWS, make_optimizers


class Network(nn.Module):
    def __init__(self, rows: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, 2)
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
    for rows in (5, SPARSE_ROWS + 1):
        change = step(Network(rows), TrainConfig(lr=0.01, embedding_lr=0.1))
        # Adam's first step is the learning rate, whatever the gradient.
        torch.testing.assert_close(change["linear.weight"].abs(), torch.full((1, 2), 0.01), rtol=1e-3, atol=0)
        torch.testing.assert_close(change["table.weight"][1].abs(), torch.full((2,), 0.1), rtol=1e-3, atol=0)


def test_weight_decay_leaves_embedding_rows_and_biases_alone():
    for rows in (5, SPARSE_ROWS + 1):
        model = Network(rows)
        model.linear.bias.requires_grad_(False)
        change = step(model, TrainConfig(lr=0.1, weight_decay=0.5))
        assert not change["table.weight"][2:].any()
        assert not change["linear.bias"].any()
