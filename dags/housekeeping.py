"""Every noon: let go what is old, and see to it that no day was forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, task

from dags.operators import StageOperator
from dags.road import DEFAULTS, START
from dags.runs import start_run


@task  # type: ignore[untyped-decorator]
def parts(found: dict[str, Any], ti: Any = None) -> list[str]:
    """The day to train on: none, or the one that is served and has no model, unless training is at work."""
    if not found["retrain"] or ti.get_dr_count("daily_retrain", states=["queued", "running"]):
        return []
    return [found["retrain"]]


@task  # type: ignore[untyped-decorator]
def start(forgotten: str) -> None:
    """Start a training run of a forgotten day, once; if that fails too, somebody has to look."""
    start_run("daily_retrain", f"missed__{forgotten}", {"ds": forgotten})


with DAG(
    "housekeeping",
    schedule=CronTriggerTimetable("0 12 * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args={**DEFAULTS, "execution_timeout": timedelta(hours=2)},
    params={
        "dry_run": Param(False, type="boolean", description="Only say what would be removed, with bytes."),
    },
    render_template_as_native_obj=True,  # arguments are a list
    tags=["gatehouse", "upkeep"],
    doc_md="""
### Housekeeping

Removes what `retention` in params.yaml lets go and nothing needs: old partitions, models, checkpoints,
request logs, Airflow's task logs and DVC's unused cache. It refuses a retention that is too short for a
window or the split, and keeps what is served or in production. Then it compares the day that is served
with the days that have a model: where the event that should have started `daily_retrain` was lost, it
starts it, once.
""",
) as dag:  # fmt: skip
    StageOperator(
        task_id="housekeeping",
        command=("housekeeping",),
        arguments="{{ ['--dry-run'] if params.dry_run else [] }}",
    )
    behind = StageOperator(task_id="behind", command=("behind", "--json"), answers=True)
    start.expand(forgotten=parts(behind.output))
