"""Turn rows of the stage table into tasks. What the DAGs share is here; what differs is in their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from airflow.sdk import Asset, Param

from dags.alerts import task_failed
from dags.operators import StageOperator, home
from pipelines.stages import STAGES, Stage

# The validated snapshots of a day; the day is the partition of its events.
FEATURES = Asset("gatehouse_features")
TO_FEATURES = ("ingest", "validate_events", "aggregate", "validate_features", "materialize")
TO_A_MODEL = tuple(stage.name for stage in STAGES if stage.name not in TO_FEATURES)
GPU = "gpu"
# Before the oldest known log, so that every day can be run again.
START = datetime(1997, 1, 1, tzinfo=UTC)
DEFAULTS: dict[str, Any] = {
    "owner": "ranking",
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": task_failed,
}
# What a stage may take, of a month of days where it takes several; far more than it takes when all is well.
TIMEOUTS = {
    "ingest": timedelta(hours=4),
    "aggregate": timedelta(hours=6),
    "validate_events": timedelta(hours=2),
    "validate_features": timedelta(hours=3),
    "materialize": timedelta(hours=2),
    "assemble": timedelta(hours=3),
    "train": timedelta(hours=12),
    "evaluate": timedelta(hours=3),
}
DAY = "{{ params.ds or partition_key }}"
DAY_PARAM = Param(
    None, type=["null", "string"], format="date",
    description="UTC day to run, for example 2022-05-01; left empty, the run's own day.",
)  # fmt: skip


def make_tasks(names: Sequence[str], ds: Any, **changes: Mapping[str, Any]) -> dict[str, Any]:
    """A task for each named stage, in the DAG being declared, behind those it needs in the same DAG.

    Args:
        names: stages, each after those it needs.
        ds: the day they run: a template or another task's output.
        changes: stage to what else its operator is given.
    """
    tasks: dict[str, Any] = {}
    for stage in (stage for stage in STAGES if stage.name in names):
        tasks[stage.name] = _task(stage, ds, changes.get(stage.name, {}))
        tasks[stage.name].set_upstream([tasks[need] for need in stage.needs if need in tasks])
    return tasks


def models() -> list[str]:
    """Names of the models in params.yaml. Read bare: the settings check would slow every parse down."""
    params = yaml.safe_load((home() / "params.yaml").read_text(encoding="utf-8"))
    return list(params["train"]["models"])


def _task(stage: Stage, ds: Any, changes: Mapping[str, Any]) -> Any:
    settings: dict[str, Any] = {"task_id": stage.name, "command": stage.command, "ds": ds, **changes}
    if stage.name in TIMEOUTS:
        settings["execution_timeout"] = TIMEOUTS[stage.name]
    if stage.gate:
        settings["retries"] = 0
    if stage.gpu:
        settings |= {"queue": GPU, "pool": GPU}
    if stage.mapped:
        return StageOperator.partial(**settings).expand(model=models())
    return StageOperator(**settings)
