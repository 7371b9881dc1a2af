"""Put an older version of a model into production, by a form."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException

from dags.operators import StageOperator
from dags.road import DEFAULTS, START, models

VERSION = r"^(v?[0-9]{1,9}(\.0\.0)?)?$"


@task  # type: ignore[untyped-decorator]
def arguments(params: dict[str, Any]) -> list[str]:
    """The command's arguments; the form has checked them, and a run by API or CLI is checked here again."""
    model, version = params["model"], params["version"]
    if model not in models():
        raise AirflowFailException(f"{model!r} is not a model of params.yaml: {', '.join(models())}")
    if not isinstance(version, str) or not re.fullmatch(VERSION, version):
        raise AirflowFailException(f"{version!r} is not a version; write it as v3, or leave it empty")
    if not version:
        return [model]
    return [model, "--to", f"v{version.removeprefix('v').removesuffix('.0.0')}.0.0"]


with DAG(
    "rollback",
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    # Somebody looks on. A second try after half a first one would go back twice.
    default_args={**DEFAULTS, "retries": 0, "execution_timeout": timedelta(minutes=15)},
    params={
        "model": Param(models()[0], type="string", enum=models(), description="Model to roll back."),
        "version": Param(
            "", type="string", pattern=VERSION,
            description="Version to go to, for example v3; empty for the one before the production's.",
        ),
    },
    tags=["gatehouse", "serving"],
    doc_md="""
### Roll a model back

Moves `prod` to an older version of a model (`gatehouse models rollback`); nothing is trained or removed.
Features stay what they are. Left empty, the version is the one that was in production before. The run is
not retried.
""",
) as dag:  # fmt: skip
    StageOperator(task_id="rollback", command=("models", "rollback"), arguments=arguments())
