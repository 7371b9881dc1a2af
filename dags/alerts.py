"""Say what failed and what to do: one structured log line, and a message to GATEHOUSE_ALERT_URL if set.

Everything here is called by Airflow after something went wrong. Nothing here may make it worse, so a
message that cannot be delivered is logged and forgotten.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import structlog
from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

from pipelines.stages import STAGES

RUNBOOK = "docs/runbook.md"
SECONDS = 5.0
BACKFILL = "backfill__"  # how the runs that `backfill` starts are called; they may wait for each other


def task_failed(context: Mapping[str, Any]) -> None:
    """Airflow's on_failure_callback: a task failed for good."""
    task = context["task_instance"]
    index = getattr(task, "map_index", -1)
    _tell(
        "task failed",
        dag=task.dag_id,
        task=f"{task.task_id}[{index}]" if index is not None and index >= 0 else task.task_id,
        run=task.run_id,
        ds=getattr(context.get("task"), "ds", None),
        tries=task.try_number,
        error=str(context.get("exception") or "no exception; the process ended"),
        runbook=runbook(task.dag_id, task.task_id),
    )


def deadline_missed(context: Mapping[str, Any], within: str) -> None:
    """A DeadlineAlert's callback: a run is not finished in time."""
    run = context["dag_run"]
    if run["dag_run_id"].startswith(BACKFILL):
        return
    _tell(
        "deadline missed",
        dag=run["dag_id"],
        run=run["dag_run_id"],
        ds=run.get("partition_key"),
        error=f"not finished {within} after the time that its last runs took",
        runbook=runbook(run["dag_id"]),
    )


def overdue_after(hours: int) -> DeadlineAlert:
    """Alert when a run takes so many hours longer than its last ten did; the first run has no deadline.

    The callback is run by the executor, like a task; an asynchronous one would need a triggerer. A deadline
    by DAGRUN_QUEUED_AT would be plainer, but Airflow 3.3 then fails to clear any task of the run.
    """
    return DeadlineAlert(
        reference=DeadlineReference.AVERAGE_RUNTIME(max_runs=10, min_runs=1),
        interval=timedelta(hours=hours),
        callback=SyncCallback(deadline_missed, kwargs={"within": f"{hours} hours"}),
    )


def runbook(dag: str, task: str | None = None) -> str:
    """Where the runbook says what to do: the stage's section, or else the DAG's."""
    anchor = task if task in {stage.name for stage in STAGES} else dag
    return f"{os.environ.get('GATEHOUSE_RUNBOOK_URL', RUNBOOK)}#{anchor}"


def _tell(event: str, **facts: Any) -> None:
    log = structlog.get_logger(__name__)
    log.error(event, **facts)
    url = os.environ.get("GATEHOUSE_ALERT_URL")
    if url:
        named = " ".join(str(facts[name]) for name in ("dag", "task", "ds") if facts.get(name))
        try:
            _post(url, f"{event}: {named}\n{facts['error']}\nWhat to do: {facts['runbook']}")
        except (OSError, HTTPException, ValueError) as error:
            # The URL of a chat's hook is a secret, and errors may quote it.
            log.warning("alert not delivered", to="GATEHOUSE_ALERT_URL", error=type(error).__name__)


def _post(url: str, text: str) -> None:
    """POST {"text": TEXT}, which Slack and those that imitate it understand.

    Raises:
        OSError, HTTPException, ValueError: it was not delivered.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("GATEHOUSE_ALERT_URL is not an http or https URL")
    request = urllib.request.Request(  # noqa: S310 -- the scheme has been checked
        url, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=SECONDS).close()  # noqa: S310
