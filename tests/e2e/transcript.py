"""Write down what a cluster did: days, tasks, tries, states and seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

from tests.e2e.airflows import Airflow, Json

HEAD = """# Three days on the cluster

Written by

    GATEHOUSE_TRANSCRIPT=docs/airflow/transcript.md .venv/bin/pytest tests/e2e/test_cluster.py

Three days of {dataset} on {cores} cores, each through `daily_features` and, by its asset event,
`daily_retrain`. During the first training the GPU worker's process group was sent SIGKILL; the next try
continued from the checkpoint. During the second training Airflow's Postgres was crashed; the cluster
started it again. The whole took {minutes:.1f} minutes and published {versions}; the last day's event,
posted once more, started a run that published nothing.

| day | DAG | task | queue | try | state | waited, s | ran, s |
|---|---|---|---|---|---|---|---|
"""


def write_transcript(
    path: Path, airflow: Airflow, dataset: str, runs: Sequence[tuple[date, Json]], versions: Sequence[str]
) -> None:
    """Write a Markdown page with a row for each try of each task.

    Args:
        path: the page.
        airflow: is asked for the tries.
        dataset: of the days.
        runs: days and their runs, in order.
        versions: that were published.
    """
    rows = list(_rows(airflow, runs))
    span = _seconds(min(run["start_date"] for _, run in runs), max(run["end_date"] for _, run in runs))
    head = HEAD.format(dataset=dataset, cores=os.cpu_count(), minutes=span / 60, versions=", ".join(versions))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "".join(rows), encoding="utf-8")


def _rows(airflow: Airflow, runs: Sequence[tuple[date, Json]]) -> Iterator[str]:
    for ds, run in runs:
        tries = [each for task in airflow.tasks(run) for each in airflow.tries(task)]
        for each in sorted(tries, key=lambda each: str(each["start_date"])):
            name = each["task_id"] if each["map_index"] < 0 else f"{each['task_id']}[{each['map_index']}]"
            waited = _seconds(each["queued_when"] or each["start_date"], each["start_date"])
            ran = _seconds(each["start_date"], each["end_date"])
            cells = (
                ds, run["dag_id"], name, each["queue"], each["try_number"], each["state"],
                f"{waited:.0f}", f"{ran:.0f}",
            )  # fmt: skip
            yield f"| {' | '.join(map(str, cells))} |\n"


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
