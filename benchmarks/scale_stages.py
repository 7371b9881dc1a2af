"""Seconds of every stage on simulated logs of growing size."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipelines.aggregate import aggregate
from pipelines.assemble import assemble
from pipelines.days import Days
from pipelines.evaluate import evaluate
from pipelines.ingest import ingest
from pipelines.materialize import materialize
from pipelines.settings import CHECKOUT, Settings
from pipelines.train import train
from pipelines.validate import validate_events, validate_features, validate_training

DAYS = Days.model_validate({"start": "2026-01-01", "end": "2026-01-06"})
MODEL = "pooled_mlp"
LAST = DAYS.end
# In the order of the road; each leaves its seconds in runs/DATASET/NAME.json.
STAGES: Mapping[str, Callable[[Settings], object]] = {
    "ingest": lambda settings: ingest(settings, DAYS),
    "validate_events": lambda settings: validate_events(settings, DAYS),
    "aggregate": lambda settings: aggregate(settings, DAYS),
    "validate_features": lambda settings: validate_features(settings, DAYS),
    "materialize": lambda settings: materialize(settings, LAST),
    "assemble": lambda settings: assemble(settings, LAST),
    "validate_training": lambda settings: validate_training(settings, LAST),
    f"train_{MODEL}": lambda settings: train(settings, LAST, MODEL),
    "evaluate": lambda settings: evaluate(settings, LAST),
}


def stage_seconds(rows_a_day: int, repeats: int) -> dict[str, float]:
    """Median seconds of each stage on a log of six days, whose users and items grow with it."""
    runs = [_one_road(rows_a_day) for _ in range(repeats)]
    return {name: statistics.median(run[name] for run in runs) for name in STAGES}


def exponents(seconds: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    """Per stage the slope of log seconds over log rows: 1 is linear."""
    rows = np.log(list(seconds))
    return {
        name: float(np.polyfit(rows, np.log([of_size[name] for of_size in seconds.values()]), 1)[0])
        for name in STAGES
    }


def _one_road(rows_a_day: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(Path(folder), rows_a_day)
        for run in STAGES.values():
            run(settings)
        notes = {name: json.loads((settings.runs / f"{name}.json").read_text()) for name in STAGES}
        return {name: float(note["seconds"]) for name, note in notes.items()}


def _settings(home: Path, rows_a_day: int) -> Settings:
    params: dict[str, Any] = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    params["dataset"] = "simulated"
    params["datasets"]["simulated"] = {
        "days": {"start": str(DAYS.start), "end": str(DAYS.end)},
        "split": {"train": 3, "validation": 1, "test": 1},
        "simulation": {
            "users": max(50, rows_a_day // 10), "items": max(20, rows_a_day // 40), "scenarios": 4,
            "events_per_day": rows_a_day, "seed": 7,
        },
    }  # fmt: skip
    params["train"] |= {"epochs": 1, "models": {MODEL: {}}}
    params["publish"]["model"] = MODEL
    (home / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return Settings(home=home)
