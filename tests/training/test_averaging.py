from __future__ import annotations

import pytest
import torch
from torch import nn

from training.averaging import WeightMean
from training.config import TrainConfig
from training.optimizers import make_optimizers

DECAY = 0.8


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 3)
        self.linear = nn.Linear(3, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.linear(self.table(ids)).square().sum()


def trained(steps: int, *, by_rows: bool, asked: tuple[int, ...] = ()):
    """A network after some steps, its mean, and its weights after every step."""
    torch.manual_seed(1)
    model, random, history = Network(), torch.Generator().manual_seed(2), []
    config = TrainConfig(lr=0.1, embedding_lr=0.1, embedding_decay=0.1 if by_rows else 0.0)
    optimizers = make_optimizers(model, config)
    assert model.table.sparse == by_rows
    mean = WeightMean(model, DECAY)
    for step in range(steps):
        model.zero_grad()
        model(torch.randint(0, 5, (2,), generator=random)).backward()  # row 5 is never read
        mean.before_step()
        for optimizer in optimizers:
            optimizer.step()
        mean.after_step()
        history.append({name: weight.detach().clone() for name, weight in model.named_parameters()})
        if step in asked:
            with mean.in_place():
                pass
    return model, mean, history


def brute_force(history: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    shares = torch.tensor([DECAY**back for back in reversed(range(len(history)))])
    shares /= shares.sum()
    return {
        name: sum(share * weights[name] for share, weights in zip(shares, history, strict=True))
        for name in history[0]
    }


@pytest.mark.parametrize("by_rows", [False, True])
@pytest.mark.parametrize("asked", [(), (2, 3, 9)])
def test_the_mean_is_that_of_all_steps_weights(by_rows: bool, asked: tuple[int, ...]):
    model, mean, history = trained(12, by_rows=by_rows, asked=asked)
    with mean.in_place():
        for name, expected in brute_force(history).items():
            torch.testing.assert_close(model.get_parameter(name), nn.Parameter(expected))


def test_the_weights_come_back_when_the_mean_leaves():
    model, mean, history = trained(3, by_rows=True)
    with mean.in_place():
        assert not torch.equal(model.linear.weight, history[-1]["linear.weight"])
    for name, weight in model.named_parameters():
        assert torch.equal(weight, history[-1][name])
