"""Turn rows of the stage table into tasks. What the DAGs share is here; what differs is in their files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from airflow.sdk import Asset, Param

from dags.operators import StageOperator, home
from pipelines.stages import STAGES, Stage

# The validated snapshots of one day; its events carry {"ds": DAY}.
FEATURES = Asset("gatehouse_features")
GPU = "gpu"
# Before the oldest known log, so that every day can be run again.
START = datetime(1997, 1, 1, tzinfo=UTC)
DEFAULTS: dict[str, Any] = {
    "owner": "ranking",
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(hours=2),
}
TRAINING_TIMEOUT = timedelta(hours=12)
DAY_PARAM = Param(
    None, type=["null", "string"], format="date",
    description="UTC day to run, for example 2022-05-01; left empty, the run's own day.",
)  # fmt: skip


def make_tasks(
    names: Sequence[str], ds: Any, outlets: dict[str, list[Asset]] | None = None
) -> dict[str, Any]:
    """A task for each named stage, in the DAG being declared, behind those it needs in the same DAG.

    Args:
        names: stages, each after those it needs.
        ds: the day they run: a template or another task's output.
        outlets: stage to the assets it updates.
    """
    tasks: dict[str, Any] = {}
    for stage in (stage for stage in STAGES if stage.name in names):
        tasks[stage.name] = _task(stage, ds, (outlets or {}).get(stage.name, []))
        tasks[stage.name].set_upstream([tasks[need] for need in stage.needs if need in tasks])
    return tasks


def _task(stage: Stage, ds: Any, outlets: list[Asset]) -> Any:
    settings: dict[str, Any] = {"task_id": stage.name, "command": stage.command, "ds": ds, "outlets": outlets}
    if stage.gate:
        settings["retries"] = 0
    if stage.gpu:
        settings |= {"queue": GPU, "pool": GPU, "execution_timeout": TRAINING_TIMEOUT}
    if stage.mapped:
        return StageOperator.partial(**settings).expand(model=_models())
    return StageOperator(**settings)


def _models() -> list[str]:
    """Names of the models in params.yaml. Read bare: the settings check would slow every parse down."""
    params = yaml.safe_load((home() / "params.yaml").read_text(encoding="utf-8"))
    return list(params["train"]["models"])
