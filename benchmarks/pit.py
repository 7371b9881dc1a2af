"""Both engines of the offline store beside Feast's own stores and plain DuckDB, one process after the other.

    make bench-pit

A million spine rows meet two views of five million rows each. Prints a table and writes
benchmarks/results/pit.json.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.pit_data import DAYS, FEATURES, VIEWS, write_lake, write_spine
from benchmarks.reporting import write_results

ROWS_A_DAY = 500_000
SPINE = 1_000_000
LONG_SPINE = 10_000_000
# Processes of each. Spark's joins are run five times in one, as a session is used; the long spine's once.
REPEATS = {"raw_asof": 7, "duckdb": 7, "feast_duckdb": 7, "spark": 1, "feast_spark": 1, "spine_10m": 1}


def main() -> None:
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lake(folder, ROWS_A_DAY)
        write_spine(folder / "spine.parquet", SPINE, ROWS_A_DAY)
        write_spine(folder / "long.parquet", LONG_SPINE, ROWS_A_DAY)
        found = _measured(folder)
    ratios = {
        "duckdb_vs_feast_duckdb": _times_as_fast(found, "duckdb", "feast_duckdb"),
        "duckdb_vs_raw_asof": _times_as_fast(found, "duckdb", "raw_asof"),
        "spark_vs_feast_spark": _times_as_fast(found, "spark", "feast_spark"),
        "spark_vs_feast_spark_first": found["feast_spark"]["runs_s"][0] / found["spark"]["runs_s"][0],
        "spark_vs_feast_spark_written": found["feast_spark"]["written_s"] / found["spark"]["written_s"],
        "memory_vs_feast_duckdb": found["feast_duckdb"]["peak_mb"] / found["duckdb"]["peak_mb"],
    }
    _report(found, ratios)
    figures = {
        "load before": load,
        "sizes": {
            "spine": SPINE,
            "long spine": LONG_SPINE,
            "rows a view": ROWS_A_DAY * DAYS,
            "views": len(VIEWS),
            "features a view": FEATURES,
        },
        "contenders": found,
        "spine_10m_s": found["spine_10m"]["seconds"],
        "spine_10m_peak_mb": found["spine_10m"]["peak_mb"],
        "ratios": ratios,
    }
    write_results("pit", figures, packages=["feast", "duckdb", "pyspark", "pyarrow"])


def _measured(folder: Path) -> dict[str, dict[str, Any]]:
    """Each contender's median seconds, largest peak and digest; rounds are taken in turn."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in REPEATS}
    for turn in range(max(REPEATS.values())):
        for name, repeats in REPEATS.items():
            if turn < repeats:
                runs[name].append(_run(name, folder))
    return {
        name: {
            "seconds": statistics.median(_runs(of_one)),
            "peak_mb": max(run["peak_mb"] for run in of_one),
            "runs_s": _runs(of_one),
            "written_s": of_one[-1]["written_s"],
            "agrees_with_raw": None if name == "spine_10m" else _agree(runs, name),
        }
        for name, of_one in runs.items()
    }


def _runs(of_one: list[dict[str, Any]]) -> list[float]:
    return [seconds for process in of_one for seconds in process["seconds"]]


def _agree(runs: dict[str, list[dict[str, Any]]], name: str) -> bool:
    return {run["digest"] for run in runs[name]} == {run["digest"] for run in runs["raw_asof"]}


def _run(name: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.pit_contenders", name, str(folder)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads([line for line in printed.splitlines() if line.startswith("{")][-1])
    return found


def _times_as_fast(found: dict[str, dict[str, Any]], ours: str, theirs: str) -> float:
    """The median of the turns' ratios: what slows a machine for minutes slows both contenders of a turn.

    Spark's turns are the joins of a session, the first beside the first: both have compiled as much by then.
    """
    pairs = zip(found[theirs]["runs_s"], found[ours]["runs_s"], strict=True)
    return statistics.median(of_theirs / of_ours for of_theirs, of_ours in pairs)


def _report(found: dict[str, dict[str, Any]], ratios: dict[str, float]) -> None:
    table = Table("", "seconds", "peak MB", "same rows as plain DuckDB")
    for name, figures in found.items():
        agrees = {None: "", True: "yes", False: "no"}[figures["agrees_with_raw"]]
        table.add_row(name, f"{figures['seconds']:.1f}", f"{figures['peak_mb']:,.0f}", agrees)
    table.add_section()
    for name, ratio in ratios.items():
        table.add_row(name, f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
