"""What every benchmark writes: its figures beside the machine and the versions they were taken with."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")


def write_results(name: str, figures: Mapping[str, Any], packages: Iterable[str]) -> None:
    """Write `figures` to benchmarks/results/NAME.json."""
    results = {
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "memory, GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "load": os.getloadavg(),
        },
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
