"""What a GPU waits for, and what bfloat16 does to the AUC."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.train_speed import Endless, InMemory, in_turns, loop_speed
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.batch import Batch
from training.loop import train
from training.models.build import build

MODELS, BATCHES = ("pepnet", "m2m"), (8_192, 65_536)
STEPS, TURNS = 10, 3


class Float32(nn.Module):
    """A model that ignores the loop's bfloat16."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        with torch.autocast("cuda", enabled=False):
            return self.model(batch)


def on_a_gpu(arrays: EncodedArrays) -> dict[str, Any]:
    """Rows a second and the share of time that the device waits for rows; AUC by precision."""
    device = torch.device("cuda")
    figures: dict[str, Any] = {"device": torch.cuda.get_device_name(device)}
    for name in MODELS:
        for size in BATCHES:
            figures[f"{name}, batch {size:,}"] = _waits(name, arrays, size, device)
        figures[f"{name}, validation AUC"] = _precisions(name, arrays, device)
    return figures


def _waits(name: str, arrays: EncodedArrays, size: int, device: torch.device) -> dict[str, float]:
    config = TrainConfig(batch_size=size)
    endless, repeated = Endless(arrays), InMemory(arrays)
    model = build(name, arrays.encoder.spec, config)
    speeds = in_turns(
        {
            "engine": lambda: loop_speed(model, endless, config, device, steps=STEPS),
            "in memory": lambda: loop_speed(model, repeated, config, device, steps=STEPS),
        },
        TURNS,
    )
    engine, in_memory = speeds["engine"]["rows/s"], speeds["in memory"]["rows/s"]
    return {"rows/s": engine, "share of time waiting": max(0.0, 1 - engine / in_memory)}


def _precisions(name: str, arrays: EncodedArrays, device: torch.device) -> dict[str, list[float]]:
    config = TrainConfig(batch_size=8_192, epochs=2)
    areas = {}
    for precision in ("bfloat16", "float32"):
        torch.manual_seed(config.seed)
        model: nn.Module = build(name, arrays.encoder.spec, config)
        curve = train(Float32(model) if precision == "float32" else model, arrays, config, device=device)
        areas[precision] = list(curve[-1].auc)
    return areas
