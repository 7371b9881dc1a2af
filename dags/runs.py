"""Start runs of other DAGs, each exactly once."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow.sdk.exceptions import DagRunTriggerException


def start_run(dag_id: str, run_id: str, conf: dict[str, Any]) -> NoReturn:
    """End this task by starting a run; a run of that name that is there already is left alone.

    This is what TriggerDagRunOperator does, whose import alone would take longer than all DAGs may
    take to parse.

    Args:
        dag_id: whose run.
        run_id: its name. What is to be done once must be named by what it does.
        conf: its parameters.
    """
    raise DagRunTriggerException(
        trigger_dag_id=dag_id,
        dag_run_id=run_id,
        conf=conf,
        logical_date=None,
        reset_dag_run=False,
        skip_when_already_exists=True,
        wait_for_completion=False,
        allowed_states=[],
        failed_states=[],
        poke_interval=60,
        deferrable=False,
    )
