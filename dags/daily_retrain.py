"""From the features of the days up to one to a published model and a report."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

from dags.operators import checked_day
from dags.road import DAY_PARAM, DEFAULTS, FEATURES, START, make_tasks


@task(retries=0)  # type: ignore[untyped-decorator]
def day(params: dict[str, Any], triggering_asset_events: Any) -> str:
    """The UTC day to train up to: the run's parameter, or the newest day whose features have come.

    A run that was started by an asset has no logical date, and one run may answer several events.
    """
    if params["ds"]:
        return checked_day(params["ds"])
    days = [event.extra["ds"] for event in triggering_asset_events[FEATURES]]
    if not days:
        raise AirflowFailException('no day to train on; trigger with the parameters {"ds": "2022-05-01"}')
    return max(checked_day(text) for text in days)


with DAG(
    "daily_retrain",
    schedule=[FEATURES],
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params={"ds": DAY_PARAM},
    tags=["gatehouse", "training"],
    doc_md="""
### Retraining on the days up to one

Starts when `daily_features` has finished a day and carries that day along. Assembles the training set point
in time, gates it, trains every model of params.yaml (queue and pool `gpu`), evaluates them, judges
the chosen one against the champion, publishes it if it passed, and reports. Running a day twice publishes
once. To run one by hand, give `ds`.
""",
) as dag:
    make_tasks(
        ("assemble", "validate_training", "train", "evaluate", "promote", "publish", "report"),
        ds=day(),
    )
