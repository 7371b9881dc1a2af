"""Layers beside the plain ways to compute them: scenario towers by route or by mask, generated weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.train_data import write_log
from benchmarks.train_speed import Clock, Speed, in_turns, times_faster
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.batch import Batch
from training.layers.meta import MetaLayer
from training.layers.routing import route
from training.losses import masked_bce
from training.models.build import build

BATCH, STEPS, TURNS = 4096, 2, 3
WIDTH, KNOWLEDGE = 64, 8


def layer_ratios(log: EncodedArrays) -> dict[str, float]:
    """How many times faster the project's way is: on `log`, and on logs of few scenarios, which gain less."""
    return {
        "ppnet_routed_vs_masked": _routed_vs_masked(log),
        "ppnet_routed_vs_masked_10_scenarios": _of_scenarios(10),
        "ppnet_routed_vs_masked_3_scenarios": _of_scenarios(3),
        **_generated_weights(),
    }


def _of_scenarios(scenarios: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        return _routed_vs_masked(write_log(Path(name) / "log", scenarios))


def _routed_vs_masked(arrays: EncodedArrays) -> float:
    config = TrainConfig(batch_size=BATCH, models={"ppnet": {"scenario_towers": True}})
    batch = _one_batch(arrays)
    routed = build("ppnet", arrays.encoder.spec, config)
    masked, labels = MaskedPPNet(routed), batch.labels[:, : routed.targets]
    torch.testing.assert_close(masked(batch), routed(batch), rtol=1e-3, atol=1e-4)
    speeds = in_turns(
        {
            "routed": lambda: _speed(lambda: masked_bce(routed(batch), labels)),
            "masked": lambda: _speed(lambda: masked_bce(masked(batch), labels)),
        },
        TURNS,
    )
    return times_faster(speeds, "routed", "masked")


class EveryScenario:
    """In place of routes: every row goes through the towers of all scenarios, and one result is kept."""

    def __init__(self, scenario: Tensor, scenarios: int) -> None:
        self._count = scenarios
        self._own = nn.functional.one_hot(scenario, scenarios).T.unsqueeze(-1)  # [S, B, 1]

    def to_tiles(self, rows: Tensor) -> Tensor:
        return rows.unsqueeze(0).expand(self._count, -1, -1)

    def product(self, tiles: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if bias is None:
            return torch.bmm(tiles, weight)
        return torch.baddbmm(bias.unsqueeze(1), tiles, weight)

    def to_rows(self, tiles: Tensor) -> Tensor:
        return (tiles * self._own).sum(dim=0)


class MaskedPPNet(nn.Module):
    """A PPNet with scenario towers, all of them computed for every row and all but one masked away."""

    def __init__(self, routed: nn.Module) -> None:
        super().__init__()
        self.routed = routed

    def forward(self, batch: Batch) -> Tensor:
        with patch("training.models.ppnet.route", EveryScenario):
            return self.routed(batch)


def _generated_weights() -> dict[str, float]:
    """M2M's meta layer, priors of ten scenarios: weights generated once a tile, for every row, or never."""
    layer, distinct = MetaLayer(1, KNOWLEDGE, WIDTH), torch.randn(10, KNOWLEDGE)
    scenario = torch.multinomial(torch.tensor([0.75] + [0.25 / 9] * 9), BATCH, replacement=True)
    hidden = torch.randn(BATCH, WIDTH)
    knowledge = distinct[scenario]

    def shared() -> Tensor:
        routes = route(scenario, len(distinct))
        return routes.to_rows(layer(routes.to_tiles(hidden), distinct[routes.tile_group]).squeeze(1))

    def weighed() -> Tensor:
        return layer(hidden[:, None, None], knowledge).flatten(1)

    def per_row() -> Tensor:
        weights = torch.einsum("br,rij->bij", knowledge, layer.V_w[0]) + layer.v_w[0]
        return (hidden.unsqueeze(1) @ weights).squeeze(1) + knowledge @ layer.V_b[0] + layer.v_b[0]

    for way in (shared, weighed):
        torch.testing.assert_close(way(), per_row(), rtol=1e-3, atol=1e-4)
    speeds = in_turns(
        {
            "shared": lambda: _speed(lambda: shared().sum(), steps=20),
            "weighed": lambda: _speed(lambda: weighed().sum(), steps=10),
            "per row": lambda: _speed(lambda: per_row().sum()),
        },
        TURNS,
    )
    return {
        "m2m_shared_vs_per_row": times_faster(speeds, "shared", "per row"),
        "m2m_row_priors_vs_per_row": times_faster(speeds, "weighed", "per row"),
    }


def _speed(loss: Callable[[], Tensor], steps: int = STEPS) -> Speed:
    """The speed of `steps` times forward and backward."""
    clock = Clock()
    clock.tick()
    for _ in range(steps + 1):
        loss().backward()
        clock.tick()
    return clock.speed(BATCH)


def _one_batch(arrays: EncodedArrays) -> Batch:
    return next(iter(arrays.shuffled_batches("train", BATCH, torch.device("cpu"), seed=7, epoch=1)))
