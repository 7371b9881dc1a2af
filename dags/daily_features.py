"""From a day's raw log to its features in the online store: the one DAG that writes the lake's features."""

from __future__ import annotations

from airflow.sdk import DAG, CronPartitionTimetable, Param

from dags.alerts import overdue_after
from dags.road import DAY, DAY_PARAM, DEFAULTS, FEATURES, START, TO_FEATURES, make_tasks

SEVERAL = {"since": "{{ params.since or '' }}"}

with DAG(
    "daily_features",
    # A UTC day is run once it is over; its partition is named after it.
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=START,
    catchup=False,
    max_active_runs=1,  # a day's windows read the tiles of the days before
    deadline=overdue_after(hours=6),
    default_args=DEFAULTS,
    params={
        "ds": DAY_PARAM,
        "since": Param(
            None, type=["null", "string"], format="date",
            description="First of several days that are run together and end on the day; empty for one day.",
        ),
        "retrain": Param(True, type="boolean", description="Train models on the days up to this one."),
    },
    tags=["gatehouse", "features"],
    doc_md="""
### Features of one UTC day

Reads the day's events, gates them, sums them into tiles and snapshots, gates those, and writes them
online. The day is the run's partition; `ds` in the run's parameters names another one, `since` adds the
days before it. Runs follow each other, so nothing else writes features meanwhile: `backfill` and
`late_logs` start runs here. Every task may be killed and cleared at any time: a partition is swapped in
whole. A failed gate is not retried: look at its findings first (docs/runbook.md, *A gate fails*). A past
day mends the snapshots behind it and never takes the online store back. The last task updates the day's
partition of the asset `gatehouse_features`, which starts `daily_retrain`.
""",
) as dag:  # fmt: skip
    make_tasks(
        TO_FEATURES,
        ds=DAY,
        ingest=SEVERAL,
        validate_events=SEVERAL,
        aggregate=SEVERAL,
        validate_features=SEVERAL,
        materialize={
            "arguments": ["--forward"],
            "outlets": [FEATURES],
            "told": {"retrain": "{{ params.retrain }}"},
        },
    )
