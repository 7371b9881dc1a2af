"""No secret of a worker's environment gets into what Airflow keeps: DAGs, XComs, task logs, errors."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from pipelines.settings import CHECKOUT, Settings
from tests.pipelines.published_models import DS, write_passed

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

SECRETS = (
    "s3cr3t-of-registry",
    "s3cr3t-of-remote",
    "s3cr3t-of-redis",
    "s3cr3t-of-alerts",
    "s3cr3t-of-database",
)


@pytest.fixture
def settings(simulated_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a model that may be published, in an environment full of secrets."""
    registry, remote, redis, alerts, warehouse = SECRETS
    for name, value in {
        "GATEHOUSE_HOME": str(simulated_settings.home),
        "GATEHOUSE_REGISTRY": f"http://user:{registry}@127.0.0.1:9/models.git",
        "GATEHOUSE_REGISTRY_REMOTE": f"http://user:{remote}@127.0.0.1:9/remote",
        "GATEHOUSE_REDIS_URL": f"redis://:{redis}@127.0.0.1:9/0",
        "GATEHOUSE_ALERT_URL": f"http://127.0.0.1:9/{alerts}",
        "AIRFLOW_CONN_WAREHOUSE": f"postgresql://airflow:{warehouse}@127.0.0.1/warehouse",
    }.items():
        monkeypatch.setenv(name, value)
    write_passed(simulated_settings, "weights")
    return simulated_settings


def secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def test_no_secret_is_in_what_a_task_returns_logs_or_fails_with(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    from airflow.sdk.exceptions import AirflowException

    from dags.operators import StageOperator

    asked = StageOperator(task_id="behind", command=("behind",), arguments=["--json"], answers=True)
    answer = asked.execute({})
    with pytest.raises(AirflowException, match="git clone") as failed:
        StageOperator(task_id="publish", command=("publish",), ds=str(DS)).execute({})
    logged = "".join(capfd.readouterr())
    assert answer["evaluated"] == str(DS)
    assert "git clone" in logged, "what the stage says is not in the task's log"
    assert secrets_in(f"{json.dumps(answer)}{failed.value}{logged}") == []


def test_no_secret_is_in_the_dags_that_airflow_stores(settings: Settings) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    def stored(name: str) -> str:
        module: Any = importlib.reload(importlib.import_module(f"dags.{name}"))
        return json.dumps(DagSerialization.to_dict(module.dag))

    files = (CHECKOUT / "dags").glob("*.py")
    names = [path.stem for path in files if "\nwith DAG(" in path.read_text(encoding="utf-8")]
    texts = {name: stored(name) for name in names}
    assert {name: found for name, text in texts.items() if (found := secrets_in(text))} == {}
