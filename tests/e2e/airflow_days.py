"""Run both DAGs for the days given as arguments, with dag.test(), and print what became of each as JSON.

The last day's update is taken twice, as if its event had been sent twice.

A program of its own: Airflow takes its configuration from the environment when it is first imported.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from typing import Any

from airflow.models.asset import AssetEvent
from airflow.settings import Session
from sqlalchemy import select

from dags.daily_features import dag as features
from dags.daily_retrain import dag as retrain


def main(days: list[date]) -> None:
    for dag in (features, retrain):
        dag.deadline = None  # dag.test() of Airflow 3.3 takes a deadline for the id of a stored one
    for ds in days:
        _report(features.test(logical_date=None, run_conf={"ds": str(ds)}), ds)
        _report(retrain.test(logical_date=None, run_conf={"ds": _newest_partition()}), ds)
    _report(retrain.test(logical_date=None, run_conf={"ds": _newest_partition()}), days[-1])


def _newest_partition() -> str | None:
    """The partition of the newest update of the features' asset."""
    session = Session()
    try:
        event = session.scalars(select(AssetEvent).order_by(AssetEvent.id.desc())).first()
        assert event is not None
        return event.partition_key
    finally:
        session.close()


def _report(run: Any, ds: date) -> None:
    tasks = {
        f"{task.task_id}[{task.map_index}]" if task.map_index >= 0 else task.task_id: str(task.state)
        for task in run.get_task_instances()
    }
    told = {"ds": str(ds), "dag": run.dag_id, "state": str(run.state), "tasks": tasks}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main([date.fromisoformat(argument) for argument in sys.argv[1:]])
