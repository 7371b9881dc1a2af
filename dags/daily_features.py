"""From a day's raw log to its features in the online store."""

from __future__ import annotations

from airflow.sdk import DAG, CronDataIntervalTimetable

from dags.road import DAY_PARAM, DEFAULTS, FEATURES, START, make_tasks

with DAG(
    "daily_features",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,  # a day's windows read the tiles of the days before
    default_args=DEFAULTS,
    params={"ds": DAY_PARAM},
    tags=["gatehouse", "features"],
    doc_md="""
### Features of one UTC day

Reads the day's events, gates them, sums them into tiles and snapshots, gates those, and writes them online.
The run's day is its data interval; `ds` in the run's parameters names another one. Every task may be killed
and cleared at any time: a partition is swapped in whole. A failed gate is not retried: look at its findings
first (docs/runbook.md, *A gate fails*). The last task updates the asset `gatehouse_features`, which starts
`daily_retrain`.
""",
) as dag:
    make_tasks(
        ("ingest", "validate_events", "aggregate", "validate_features", "materialize"),
        ds="{{ params.ds or (data_interval_start | ds) }}",
        outlets={"materialize": [FEATURES]},
    )
