"""What a day costs on a long log, and how each stage grows with the log.

    make bench-scale

First a log of 100 million events over 60 days: a day is aggregated early in the log and late, beside the same
windows from raw events. Then the whole road on logs of growing size. Prints tables and writes
benchmarks/results/scale.json.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.reporting import write_results
from benchmarks.scale_log import CATALOG, LogSettings, day, link_days, write_log
from benchmarks.scale_raw import windows_from_raw
from benchmarks.scale_stages import exponents, stage_seconds
from pipelines.aggregate import aggregate
from pipelines.days import Days
from pipelines.lake import Lake
from pipelines.settings import CHECKOUT
from pipelines.spark.session import spark_session

EARLY, LATE = 5, 60
REACH = max(group.reach for group in CATALOG.aggregates)
REPEATS = 3
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000_000, help="rows of the long log")
    parser.add_argument("--rows-a-day", type=int, default=20_000, help="rows a day of the smallest road")
    parser.add_argument("--folder", type=Path, help="where the long log lies; some 10 GB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        long = _long_log(Path(folder), arguments.events)
    roads = {
        rows: stage_seconds(rows, repeats)
        for rows, repeats in zip((arguments.rows_a_day * n for n in (1, 4, 16)), (3, 1, 1), strict=True)
    }
    slopes = exponents(roads)
    ratios = {
        "day5_vs_day60": long["day_5_s"] / long["day_60_s"],
        "tiles_vs_raw_windows": long["raw_windows_s"] / long["day_60_s"],
    }
    _print(long, roads, slopes, ratios)
    write_results(
        "scale",
        {"long_log": long, "stage_s": roads, "stage_exponents": slopes, "ratios": ratios},
        packages=["pyspark", "duckdb", "pyarrow"],
    )


def _long_log(folder: Path, events: int) -> dict[str, Any]:
    """Seconds to aggregate day 5 and day 60 of one log, in turns, and to compute day 60 without tiles.

    `day_60_alone` is the same day in a lake that has no other days than its windows reach.
    """
    settings = LogSettings(home=_home(folder / "whole"), spark_driver_memory="6g")
    lake, spark = Lake(settings.lake), spark_session(settings)
    rows_a_day = events // LATE
    for number in track(range(1, LATE + 1), "writing the log", console=console):
        write_log(lake, Days.one(day(number)), rows_a_day)
    # The tiles before the two days, as a daily schedule would have left them.
    for last in (EARLY, LATE):
        aggregate(settings, Days(start=day(max(1, last - REACH)), end=day(last)))
    alone = LogSettings(home=_home(folder / "alone"), spark_driver_memory="6g")
    link_days(lake, Lake(alone.lake), Days(start=day(LATE - REACH), end=day(LATE)))
    runs = {
        "day_5": partial(aggregate, settings, Days.one(day(EARLY))),
        "day_60": partial(aggregate, settings, Days.one(day(LATE))),
        "day_60_alone": partial(aggregate, alone, Days.one(day(LATE))),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            taken[name].append(_timed(run))
    raw = Lake(folder / "raw")
    raw_seconds = _timed(lambda: windows_from_raw(spark, lake, raw, day(LATE)))
    spark.stop()
    return {
        "events": rows_a_day * LATE,
        "rows_a_day": rows_a_day,
        "snapshot_rows": _snapshot_rows(lake, day(LATE)),
        **{f"{name}_s": statistics.median(seconds) for name, seconds in taken.items()},
        **{f"{name}_runs_s": seconds for name, seconds in taken.items()},
        "raw_windows_s": raw_seconds,
        "raw_windows_agree": _equal(lake, raw, day(LATE)),
    }


def _home(folder: Path) -> Path:
    folder.mkdir()
    params = (CHECKOUT / "params.yaml").read_text(encoding="utf-8").splitlines()
    lines = ("dataset: simulated" if line.startswith("dataset:") else line for line in params)
    (folder / "params.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _timed(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def _snapshot_rows(lake: Lake, ds: date) -> int:
    return sum(lake.manifest(f"features/{group.name}", ds).rows for group in CATALOG.aggregates)


def _equal(one: Lake, other: Lake, ds: date) -> bool:
    """Whether both lakes have the same rows of every group, in the same order."""
    return all(
        _rows(one, f"features/{group.name}", ds).equals(_rows(other, f"features/{group.name}", ds))
        for group in CATALOG.aggregates
    )


def _rows(lake: Lake, table: str, ds: date) -> Any:
    keys = [(key.column, "ascending") for key in CATALOG.view(table.removeprefix("features/")).keys]
    return pq.ParquetDataset(lake.files(table, Days.one(ds))).read().sort_by(keys)


def _print(
    long: dict[str, Any],
    roads: dict[int, dict[str, float]],
    slopes: dict[str, float],
    ratios: dict[str, float],
) -> None:
    table = Table("a day of a long log", "")
    for what, value in (long | ratios).items():
        table.add_row(what, f"{value:,.2f}" if isinstance(value, float) else str(value))
    console.print(table)
    table = Table("stage, seconds", *(f"{rows:,} rows a day" for rows in roads), "exponent")
    for name, slope in slopes.items():
        table.add_row(name, *(f"{of_size[name]:.1f}" for of_size in roads.values()), f"{slope:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
