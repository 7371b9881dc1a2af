"""The demo: the whole road with DVC, then what came of it on one screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.table import Table

from features.declarations.entities import SCENARIO, USER
from pipelines.days import Days
from pipelines.errors import StageError
from pipelines.evaluation import Evaluation
from pipelines.lake import Lake
from pipelines.observing.console import console
from pipelines.promotion.table import promotion_table
from pipelines.promotion.verdict import Promotion, promotion_path
from pipelines.rank import print_ranking
from pipelines.settings import Settings
from pipelines.stages import STAGES
from pipelines.tables import metrics_table, scenario_table

TOP_ITEMS = 10
SCENARIOS = 2


def demo(settings: Settings) -> None:
    """Run `dvc repro` under home, then print what came of it: seconds, metrics, verdict, rankings, report.

    Raises:
        StageError: a stage of the road failed; its own message stands above.
    """
    console.rule(f"Gatehouse on {settings.dataset}, {settings.dataset_params.days}")
    _repro(settings)
    ds = settings.dataset_params.days.end
    evaluation = Evaluation.load(settings.evaluation / f"ds={ds}.json")
    promotion = Promotion.load(promotion_path(settings, ds))
    champion = promotion.champion
    beside = {f"{champion.tag} (champion)": champion.metrics} if champion and champion.metrics else {}
    console.print(_timings(settings), metrics_table(evaluation, beside), scenario_table(evaluation))
    console.print(promotion_table(promotion))
    user, scenarios = somebody(settings)
    print_ranking(settings, user, scenarios, TOP_ITEMS, None)
    console.print(f"The report is at [bold]{settings.reports / 'index.html'}[/bold]; open it in a browser.")


def somebody(settings: Settings) -> tuple[str, Sequence[str]]:
    """The user with most events on the last day that has any, and the busiest scenarios of that day."""
    lake = Lake(settings.lake)
    days = settings.dataset_params.days
    busy = [ds for ds in lake.days("events") if ds in days and lake.manifest("events", ds).rows]
    events = pq.read_table(
        lake.files("events", Days.one(busy[-1]))[0], columns=[USER.column, SCENARIO.column]
    )
    return _most_common(events[USER.column])[0], _most_common(events[SCENARIO.column])[:SCENARIOS]


def _most_common(values: Any) -> list[str]:
    """Distinct values, the most frequent first; ties in order of the values."""
    counts = [(-row["counts"], row["values"]) for row in pc.value_counts(values).to_pylist()]
    return [str(value) for _, value in sorted(counts)]


def _repro(settings: Settings) -> None:
    """Run `dvc repro`, its output passed through; a folder that is no git repository needs no git."""
    command = [sys.executable, "-m", "dvc"]
    if not (settings.home / ".dvc").is_dir():
        subprocess.run([*command, "init", "--quiet", "--no-scm"], cwd=settings.home, check=True)
    if not (settings.home / ".git").exists():
        subprocess.run([*command, "config", "--local", "core.no_scm", "true"], cwd=settings.home, check=True)
    environment = {
        **os.environ,
        "GATEHOUSE_HOME": str(settings.home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    done = subprocess.run([*command, "repro"], cwd=settings.home, env=environment, check=False)
    if done.returncode != 0:
        raise StageError(
            f"the road stopped (dvc repro ended with {done.returncode}); the failed stage says why above. "
            "Mend it and run this again: finished stages are not repeated"
        )


def _timings(settings: Settings) -> Table:
    """Seconds of each stage's last run; without the start of its interpreter."""
    table = Table(title="Seconds per stage")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    total = 0.0
    names = [stage.name for stage in STAGES]
    records = [json.loads(path.read_bytes()) for path in settings.runs.glob("*.json")]

    def place(record: dict[str, Any]) -> int:
        name = str(record["stage"])
        return next((i for i, known in enumerate(names) if name.startswith(known)), len(names))

    for record in sorted(records, key=place):
        table.add_row(str(record["stage"]), f"{record['seconds']:.1f}")
        total += float(record["seconds"])
    table.add_section()
    table.add_row("together", f"{total:.1f}", style="bold")
    return table
