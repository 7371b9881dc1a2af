"""From the features of the days up to one to a published model and a report."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.alerts import overdue_after
from dags.operators import checked_day, home
from dags.road import DAY_PARAM, DEFAULTS, FEATURES, START, TO_A_MODEL, make_tasks


@task(retries=0)  # type: ignore[untyped-decorator]
def day(params: dict[str, Any], triggering_asset_events: Any, partition_key: str | None = None) -> str:
    """The UTC day to train up to: the run's parameter, or the partition that was updated.

    Raises:
        AirflowSkipException: nobody asked for this run by hand, and there is no use in it: features of a
            later day are served, whose own run learns from this one too, or its event says not to train.
    """
    if params["ds"]:
        return checked_day(params["ds"])
    ds = checked_day(str(partition_key))
    events = triggering_asset_events[FEATURES]
    if events:
        _require_use(ds, [event.extra for event in events])
    return ds


def _require_use(ds: str, told: list[dict[str, Any]]) -> None:
    from features.serving.served import read_receipt

    if all(extra.get("retrain") == "False" for extra in told):
        raise AirflowSkipException(f"{ds} is one of several days that are trained on together, later")
    served = read_receipt(home() / "feast")
    if served is not None and served.ds > date.fromisoformat(ds):
        raise AirflowSkipException(
            f"{served.ds} is served by now, and its own run learns from {ds} as well; "
            f'to train up to {ds} all the same, trigger with {{"ds": "{ds}"}}'
        )


with DAG(
    "daily_retrain",
    schedule=PartitionedAssetTimetable(assets=FEATURES),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    deadline=overdue_after(hours=24),
    default_args=DEFAULTS,
    params={"ds": DAY_PARAM},
    tags=["gatehouse", "training"],
    doc_md="""
### Retraining on the days up to one

Starts when `daily_features` has finished a day, whose partition it takes over. Assembles the training set
point in time, gates it, trains every model of params.yaml (queue and pool `gpu`), evaluates them, judges
the chosen one against the champion, publishes it if it passed, and reports. Running a day twice publishes
once. A past day's update is passed over, for the day that is served has a run of its own. To run one by
hand, give `ds`.
""",
) as dag:
    make_tasks(TO_A_MODEL, ds=day())
