"""Counts of workers that are no more: what they counted stays, what they said of themselves goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WORKER = """
import os, sys
from pathlib import Path
from features.serving.web.metrics import Metrics
from features.serving.web.state import StoreState

class Open:
    is_open = True

metrics = Metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
metrics.degraded("/v1/lookup")
metrics.breaker(Open)
sys.stdout.write(metrics.text(StoreState(problem="away")).decode())
"""


def test_worker_that_died_leaves_its_counts_and_not_its_open_breaker(tmp_path: Path) -> None:
    first, second = (work(tmp_path) for _ in range(2))
    assert 'gatehouse_degraded_requests_total{endpoint="/v1/lookup"} 1.0' in first
    assert 'gatehouse_degraded_requests_total{endpoint="/v1/lookup"} 2.0' in second
    assert "gatehouse_breaker_open 1.0" in second, "only the one that lives leaves the store alone"


def work(folder: Path) -> str:
    """What a worker tells Prometheus before it ends without a word."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", WORKER], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout
