"""Layers beside the plain ways to compute them: scenario towers by route or by mask, generated weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.train_data import write_log
from benchmarks.train_speed import Clock, Speed, in_turns
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.batch import Batch
from training.layers.meta import MetaLayer
from training.losses import masked_bce
from training.models.build import available, build

BATCH, STEPS, TURNS = 4096, 3, 3
SCENARIOS = (3, 10)
WIDTH, KNOWLEDGE = 64, 8


def layer_ratios() -> dict[str, float]:
    """How many times faster the project's way is; what is not there is left out."""
    ratios = {}
    if "ppnet" in available():
        ratios["ppnet_routed_vs_masked"] = _routed_vs_masked(3)
        ratios["ppnet_routed_vs_masked_10_scenarios"] = _routed_vs_masked(10)
    if find_spec("training.layers.routing"):
        ratios |= _generated_weights()
    return ratios


def _routed_vs_masked(scenarios: int) -> float:
    config = TrainConfig(batch_size=BATCH, models={"ppnet": {"scenario_towers": True}})
    with tempfile.TemporaryDirectory() as name:
        arrays = write_log(Path(name) / "log", scenarios)
        batch = _one_batch(arrays)
    routed = build("ppnet", arrays.encoder.spec, config)
    masked = MaskedPPNet(routed)
    torch.testing.assert_close(masked(batch), routed(batch), rtol=1e-3, atol=1e-4)
    speeds = in_turns(
        {
            "routed": lambda: _speed(lambda: masked_bce(routed(batch), batch.labels)),
            "masked": lambda: _speed(lambda: masked_bce(masked(batch), batch.labels)),
        },
        TURNS,
    )
    return speeds["routed"]["rows/CPU s"] / speeds["masked"]["rows/CPU s"]


class EveryScenario:
    """In place of routes: every row goes through the towers of all scenarios, and one result is kept."""

    def __init__(self, scenario: Tensor, scenarios: int) -> None:
        self._count = scenarios
        self._own = nn.functional.one_hot(scenario, scenarios).T.unsqueeze(-1)  # [S, B, 1]

    def to_tiles(self, rows: Tensor) -> Tensor:
        return rows.unsqueeze(0).expand(self._count, -1, -1)

    def product(self, tiles: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias.unsqueeze(1), tiles, weight)

    def to_rows(self, tiles: Tensor) -> Tensor:
        return (tiles * self._own).sum(dim=0)


class MaskedPPNet(nn.Module):
    """A PPNet with scenario towers, all of them computed for every row and all but one masked away."""

    def __init__(self, routed: nn.Module) -> None:
        super().__init__()
        self.routed = routed

    def forward(self, batch: Batch) -> Tensor:
        from training.models import ppnet

        inputs = self.routed.inputs(batch)
        every = EveryScenario(inputs.scenario_index, self.routed.spec.scenarios)
        priors, general = inputs.of(*ppnet._PRIORS), inputs.of(*ppnet._GENERAL)
        towers = self.routed._towers(every.to_tiles(priors), every.to_tiles(general), every)
        return every.to_rows(towers)


def _generated_weights() -> dict[str, float]:
    """M2M's meta layer for priors of ten scenarios: weights once per distinct prior, per row, or never."""
    from training.layers.routing import route

    layer, distinct = MetaLayer(1, KNOWLEDGE, WIDTH), torch.randn(10, KNOWLEDGE)
    scenario = torch.multinomial(torch.tensor([0.75] + [0.25 / 9] * 9), BATCH, replacement=True)
    hidden = torch.randn(BATCH, 1, 1, WIDTH)
    knowledge = distinct[scenario]

    def shared() -> Tensor:
        weights = torch.einsum("sr,rij->sij", distinct, layer.V_w[0]) + layer.v_w[0]
        biases = torch.einsum("sr,rj->sj", distinct, layer.V_b[0]) + layer.v_b[0]
        routes = route(scenario, len(distinct))
        return routes.to_rows(routes.product(routes.to_tiles(hidden[:, 0, 0]), weights, biases))

    def per_row() -> Tensor:
        weights = torch.einsum("br,nrij->bnij", knowledge, layer.V_w) + layer.v_w
        biases = torch.einsum("br,nrj->bnj", knowledge, layer.V_b) + layer.v_b
        return (hidden @ weights + biases.unsqueeze(2))[:, 0, 0]

    torch.testing.assert_close(shared(), per_row(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(layer(hidden, knowledge)[:, 0, 0], per_row(), rtol=1e-3, atol=1e-4)
    speeds = in_turns(
        {
            "shared": lambda: _speed(lambda: shared().sum(), steps=30),
            "layer": lambda: _speed(lambda: layer(hidden, knowledge).sum(), steps=10),
            "per row": lambda: _speed(lambda: per_row().sum()),
        },
        TURNS,
    )
    cpu = {name: speed["rows/CPU s"] for name, speed in speeds.items()}
    return {
        "m2m_shared_vs_per_row": cpu["shared"] / cpu["per row"],
        "m2m_layer_vs_per_row": cpu["layer"] / cpu["per row"],
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
