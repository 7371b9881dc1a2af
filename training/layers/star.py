"""Parts of STAR: what all scenarios share, times what is a scenario's own; and its normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.layers.routing import Routes

_EPSILON = 1e-5
_MOMENTUM = 0.1  # of moving statistics, as nn.BatchNorm1d has it


class StarLinear(nn.Module):
    """A dense layer per scenario p: x (W * W_p) + (b + b_p). [N, R, inputs] to [N, R, outputs], in tiles.

    W_p starts at 1 and b_p at 0, and so they stay for index 0, a scenario unseen in training: it has the
    shared layer. What is kept and learnt is W_p - 1, so that weight decay pulls towards the shared layer.

    Source: STAR, arXiv 2101.11427.
    """

    def __init__(self, scenarios: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5  # as nn.Linear starts
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.scenario_weight = nn.Parameter(torch.zeros(scenarios - 1, inputs, outputs))
        self.scenario_bias = nn.Parameter(torch.zeros(scenarios - 1, outputs))

    def forward(self, tiles: Tensor, routes: Routes) -> Tensor:
        weight = self.weight * (1.0 + F.pad(self.scenario_weight, (0, 0, 0, 0, 1, 0)))
        bias = self.bias + F.pad(self.scenario_bias, (0, 0, 1, 0))
        return routes.product(tiles, weight, bias)


class PartitionedNorm(nn.Module):
    """Batch normalisation with statistics per scenario p: gamma gamma_p (x - mean_p) / std_p + beta + beta_p.

    In training, a row is normalised by the rows of its scenario in the batch, which also move the scenario's
    moving statistics. A scenario with a single row in the batch has no spread to divide by: the row is
    normalised by the moving statistics, and leaves them as they are. In evaluation, moving statistics
    normalise every row, whatever its neighbours.

    Index 0, a scenario unseen in training, has gamma_0 = 1, beta_0 = 0 and the statistics of all rows.
    What is kept of gamma_p is gamma_p - 1.

    Takes x [B, width] and scenario indices int64 [B], gives [B, width].

    Source: STAR, arXiv 2101.11427.
    """

    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(self, scenarios: int, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))
        self.scenario_gamma = nn.Parameter(torch.zeros(scenarios - 1, width))
        self.scenario_beta = nn.Parameter(torch.zeros(scenarios - 1, width))
        self.register_buffer("moving_mean", torch.zeros(scenarios, width))
        self.register_buffer("moving_variance", torch.ones(scenarios, width))

    def forward(self, x: Tensor, scenario: Tensor) -> Tensor:
        statistics = (
            self._of_batch(x, scenario) if self.training else (self.moving_mean, self.moving_variance)
        )
        mean, variance = statistics
        gain = self.gamma * (1.0 + F.pad(self.scenario_gamma, (0, 0, 1, 0))) * (variance + _EPSILON).rsqrt()
        shift = self.beta + F.pad(self.scenario_beta, (0, 0, 1, 0)) - mean * gain
        return x * gain[scenario] + shift[scenario]

    def _of_batch(self, x: Tensor, scenario: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance [S, width] to normalise a training batch by; moves the moving ones."""
        count, mean, variance = _moments(x, scenario, len(self.moving_mean))
        known = count > 1
        with torch.no_grad():
            step = _MOMENTUM * known.to(x.dtype)
            self.moving_mean += step * (mean - self.moving_mean)
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.moving_variance += step * (unbiased - self.moving_variance)
        return torch.where(known, mean, self.moving_mean), torch.where(known, variance, self.moving_variance)


def _moments(x: Tensor, scenario: Tensor, scenarios: int) -> tuple[Tensor, Tensor, Tensor]:
    """Count [S, 1], mean and (biased) variance [S, width] of each scenario's rows; index 0 has all rows."""

    def totals(rows: Tensor) -> Tensor:
        return rows.new_zeros(scenarios, rows.shape[1]).index_add(0, scenario, rows)

    count = totals(x.new_ones(x.shape[0], 1))
    mean = totals(x) / count.clamp(min=1)
    variance = totals((x - mean[scenario]).square()) / count.clamp(min=1)
    return (
        torch.cat([count.sum(dim=0, keepdim=True), count[1:]]),
        torch.cat([x.mean(dim=0, keepdim=True), mean[1:]]),
        torch.cat([x.var(dim=0, correction=0, keepdim=True), variance[1:]]),
    )
