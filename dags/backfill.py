"""Run a range of past days, a month at a time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException

from dags.alerts import BACKFILL
from dags.operators import checked_day
from dags.road import DEFAULTS, START
from dags.runs import start_run

LONGEST = 31  # days in one run of daily_features: what is lost when it is killed, and what its timeouts allow


@task(retries=0)  # type: ignore[untyped-decorator]
def parts(params: dict[str, Any]) -> list[dict[str, Any]]:
    """The range in parts of so many days, in order, as parameters of `daily_features`.

    Only the last one is trained on.
    """
    start, end = (date.fromisoformat(checked_day(params[name])) for name in ("start", "end"))
    if start > end:
        raise AirflowFailException(f"start {start} is after end {end}; exchange them")
    firsts = [start + timedelta(days=n) for n in range(0, (end - start).days + 1, params["days"])]
    lasts = [*(first - timedelta(days=1) for first in firsts[1:]), end]
    return [
        {"since": str(first), "ds": str(last), "retrain": last == end}
        for first, last in zip(firsts, lasts, strict=True)
    ]


@task(max_active_tis_per_dagrun=1)  # type: ignore[untyped-decorator]
def start(part: dict[str, Any], run_id: str | None = None) -> None:
    """Start the run of one part; the parts follow each other, for `daily_features` runs one at a time."""
    start_run("daily_features", f"{BACKFILL}{part['since']}_{part['ds']}__{run_id}", part)


with DAG(
    "backfill",
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args={**DEFAULTS, "execution_timeout": timedelta(minutes=10)},
    params={
        "start": Param(type="string", format="date", description="First UTC day, for example 2022-04-24."),
        "end": Param(type="string", format="date", description="Last UTC day, included."),
        "days": Param(LONGEST, type="integer", minimum=1, maximum=LONGEST, description="Days in one run."),
    },
    tags=["gatehouse", "features"],
    doc_md="""
### A range of past days

Starts runs of `daily_features`, each for up to a month of days, oldest first. One run reads the raw log
once and starts Spark once a stage, however many its days, which days run one by one do for each. The runs
wait for each other and for the daily one, for windows read the tiles of the days before. A part that
fails stops at its gate like a day; the parts behind it go on, and when it is cleared it mends their
snapshots. The online store is never taken back. Models are trained once, at the end, if no later day is
served.
""",
) as dag:
    start.expand(part=parts())
