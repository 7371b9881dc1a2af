"""What it costs to log an answer, and to look a day of logged answers up again offline.

    make bench-consistency

Requests are of 1,000 items and a whole feature service, read from a hand-made lake of three days. Prints a
table and writes benchmarks/results/consistency.json.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.reporting import write_results
from features.serving.answered import logged_days
from features.serving.lookup import FeatureLookup
from features.serving.request_log import ROWS_A_REQUEST, RequestLog
from features.store import open_store
from pipelines.consistency import compare_day
from pipelines.days import Days
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.features.hand_made_lake import settings_of, write_lake

DAYS = Days(start=date(2022, 5, 6), end=date(2022, 5, 8))
SERVICE, IDS, ITEMS = "ranker_v1", 40, 1_000
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3_000, help="answers to log and to compare")
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(Path(folder) / "home", "kuairand-pure")
        write_lake(settings.lake, settings.catalog, DAYS, IDS)
        materialize(settings, DAYS.end)
        figures = _logging(settings, requests) | _comparing(settings)
    table = Table("what", "figure")
    for name, figure in figures.items():
        table.add_row(name, f"{figure:,.4g}")
    console.print(table)
    ratios = {
        "lookup_vs_not_sampled": 1e3 * figures["looked up, ms"] / figures["not sampled, us"],
        "lookup_vs_logged": figures["looked up, ms"] / figures["logged, ms"],
    }
    write_results("consistency", {"figures": figures, "ratios": ratios}, ("feast", "pyarrow", "duckdb"))


def _logging(settings: Settings, requests: int) -> dict[str, float]:
    lookup = FeatureLookup(open_store(settings.home), settings.catalog, SERVICE)
    log, passing = RequestLog(settings.requests, 1.0, rows_a_day=10**9), RequestLog(settings.requests, 0.0)
    draw = random.Random(7)  # noqa: S311
    times: dict[str, list[float]] = {"looked up": [], "fresh": [], "made": [], "passed": []}
    items = [f"item-{number % IDS}" for number in range(ITEMS)]
    for _ in range(requests):
        scenario, user = (f"{name}-{draw.randrange(IDS)}" for name in ("scenario", "user"))
        begun = time.perf_counter()
        batch = lookup.batch(scenario=scenario, user=user, items=items)
        times["looked up"].append(time.perf_counter() - begun)
        for name, own in (("fresh", log), ("passed", passing)):
            begun = time.perf_counter()
            own.note(SERVICE, batch)
            times[name].append(time.perf_counter() - begun)
    for _ in range(200):  # of a batch whose columns have been asked for before
        begun = time.perf_counter()
        log.note(SERVICE, batch)
        times["made"].append(time.perf_counter() - begun)
    rows = sum(path.read_bytes().count(b"\n") for path in settings.requests.rglob("*.jsonl")) * ROWS_A_REQUEST
    size = sum(path.stat().st_size for path in settings.requests.rglob("*.jsonl"))
    return {
        "features": len(batch.outputs),
        "looked up, ms": 1e3 * statistics.median(times["looked up"]),
        "not sampled, us": 1e6 * statistics.median(times["passed"]),
        "logged, ms": 1e3 * statistics.median(times["fresh"]),
        "logged when its columns were made, ms": 1e3 * statistics.median(times["made"]),
        "bytes a row": size / rows,
    }


def _comparing(settings: Settings) -> dict[str, float]:
    begun = time.perf_counter()
    outcome = compare_day(settings, logged_days(settings.requests)[-1])
    return {
        "rows compared": outcome.rows,
        "seconds": time.perf_counter() - begun,
        "memory of the process at its peak, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "features at fault": len(outcome.at_fault),
    }


if __name__ == "__main__":
    main()
