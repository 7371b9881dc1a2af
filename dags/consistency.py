"""Whether the features that were served on a day are those that models are trained on."""

from __future__ import annotations

from airflow.sdk import DAG, CronDataIntervalTimetable

from dags.operators import StageOperator
from dags.road import DAY_PARAM, DEFAULTS, START

with DAG(
    "consistency",
    schedule=CronDataIntervalTimetable(
        "30 0 * * *", timezone="UTC"
    ),  # a day's last requests are answered by then
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params={"ds": DAY_PARAM},
    tags=["gatehouse", "features"],
    doc_md="""
### Online features equal offline features

Looks a sample of the answers that the service gave on a UTC day up again in the offline store, at the
same instant, and fails when a feature's values differ. A difference is not retried: it is there tomorrow
as well. docs/consistency.md says what to do about it. A day on which nothing was logged passes. The run's
day is the one that has just ended; `ds` in the run's parameters names another one.
""",
) as dag:
    StageOperator(
        task_id="consistency",
        command=("consistency",),
        ds="{{ params.ds or (data_interval_start | ds) }}",
    )
