"""Memory and open files of processes over time, and whether they grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_MB = 1024.0


class Watch(threading.Thread):
    """Samples processes until it is told to stop.

    Args:
        processes: name to process id.
        begun: what time counts from, by time.monotonic.
        every: seconds between two samples.
        stop: set to end it.
    """

    def __init__(
        self, processes: Mapping[str, int], begun: float, every: float, stop: threading.Event
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._processes = processes
        self._begun = begun
        self._every = every
        self._stop_watching = stop
        self.samples: dict[str, list[tuple[float, float, int]]] = {name: [] for name in processes}
        self.gone: list[str] = []

    def run(self) -> None:
        while True:
            for name, process in self._processes.items():
                if name in self.gone:
                    continue
                try:
                    sample = time.monotonic() - self._begun, resident_mb(process), open_files(process)
                except (FileNotFoundError, ProcessLookupError):
                    self.gone.append(name)
                    continue
                self.samples[name].append(sample)
            if self._stop_watching.wait(self._every):
                return


def children(process: int, having: str) -> list[int]:
    """Children of a process whose command line contains a text, oldest first."""
    ids = map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
    return [child for child in sorted(ids) if having in Path(f"/proc/{child}/cmdline").read_text()]


def resident_mb(process: int) -> float:
    """VmRSS, MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS")] or ["VmRSS: 0 kB"]
    return int(line.split()[1]) / _MB


def open_files(process: int) -> int:
    return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())


def growth(times: np.ndarray, values: np.ndarray) -> float:
    """By how much a line through the last two thirds of the values rises over them (least squares)."""
    last = times >= times[0] + (times[-1] - times[0]) / 3
    if last.sum() < 3:
        return 0.0
    slope, _ = np.polyfit(times[last], values[last], 1)
    return float(slope * (times[last][-1] - times[last][0]))
