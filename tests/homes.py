"""Home folders for tests: a params.yaml with one data set chosen, and everything the road writes below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipelines.settings import CHECKOUT

# A simulated log of six days and 3,000 events.
TINY = {
    "days": {"start": "2026-01-01", "end": "2026-01-06"},
    "split": {"train": 2, "validation": 1, "test": 1},
    "simulation": {"users": 200, "items": 50, "scenarios": 3, "events_per_day": 500, "seed": 7},
}

# Bounds of promotion for logs so small that a day of them says little.
LENIENT = {
    "max_target_drop": 0.5,
    "max_auc_drop": 0.5,
    "max_log_loss_rise": 5.0,
    "max_calibration": 10.0,
    "max_scenario_calibration": 100.0,
    "max_psi": 10.0,
}


def make_home(folder: Path, dataset: str, **sections: dict[str, Any]) -> Path:
    """Write the checkout's params.yaml into `folder`, with `dataset` chosen and sections replaced.

    `make_home(folder, "simulated", datasets={"simulated": {...}})` replaces whole keys, one level deep.
    """
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    params["dataset"] = dataset
    for name, replaced in sections.items():
        params[name] |= replaced
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return folder
