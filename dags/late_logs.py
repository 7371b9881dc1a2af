"""Notice late and corrected raw logs, and have the days they touch run again, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task

from dags.operators import StageOperator
from dags.road import DEFAULTS, START
from dags.runs import start_run


@task  # type: ignore[untyped-decorator]
def parts(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The days to run again: none, or those from the first late one to the newest, with a name."""
    if not found["days"]:
        return []
    conf = {"since": found["since"], "ds": found["until"]}
    return [{"run_id": f"late__{found['since']}_{found['until']}__{found['fingerprint']}", "conf": conf}]


@task  # type: ignore[untyped-decorator]
def start(part: dict[str, Any]) -> None:
    """Start the run, unless these very rows have started it an hour ago."""
    start_run("daily_features", part["run_id"], part["conf"])


with DAG(
    "late_logs",
    schedule=CronTriggerTimetable("20 * * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["gatehouse", "features"],
    doc_md="""
### Late and corrected raw logs

Every hour, compares what the raw log holds of each ingested day with what was ingested (`gatehouse
late`). Where a day has other rows by now, starts one run of `daily_features` over the days from the first
such day to the newest: the days behind a late one have it in their windows, and the newest is what is
served and trained on. A day that was ingested again is no longer late, and the run is named after the
rows that were found, so the same late rows start one run, however often they are looked at.
""",
) as dag:
    late = StageOperator(
        task_id="late", command=("late", "--json"), answers=True, execution_timeout=timedelta(hours=1)
    )
    start.expand(part=parts(late.output))
