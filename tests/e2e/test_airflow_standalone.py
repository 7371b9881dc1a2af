"""What `make airflow` starts: reachable on loopback only, usable over REST, and gone after Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from pipelines.settings import CHECKOUT
from tests.homes import make_home

pytestmark = [pytest.mark.airflow, pytest.mark.e2e, pytest.mark.slow]


@dataclass(frozen=True)
class Standalone:
    """A started Airflow."""

    process: subprocess.Popen[str]
    url: str
    password: str

    @property
    def family(self) -> list[psutil.Process]:
        """Everything it started."""
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    home = make_home(tmp_path_factory.mktemp("airflow") / "home", "simulated")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    with subprocess.Popen(
        [sys.executable, "-m", "infra.airflow.standalone"], cwd=CHECKOUT,
        env=environment | {"GATEHOUSE_HOME": str(home), "COLUMNS": "300"},
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = process.stdout.readline()
        ready = re.search(r"(http://127\.0\.0\.1:\d+) as admin, password (\S+)", told)
        if ready is None:
            logs = [path.read_text()[-3000:] for path in Path(home / "airflow" / "logs").glob("*.log")]
            pytest.fail("\n".join([told, *logs]))
        yield Standalone(process, ready[1], ready[2])
        if process.poll() is None:
            process.send_signal(signal.SIGINT)


def test_dags_are_listed_paused_and_without_import_errors(airflow: Standalone) -> None:
    login = {"username": "admin", "password": airflow.password}
    token = httpx.post(f"{airflow.url}/auth/token", json=login).raise_for_status().json()["access_token"]
    with httpx.Client(
        base_url=f"{airflow.url}/api/v2", headers={"Authorization": f"Bearer {token}"}, timeout=60
    ) as client:
        dags = client.get("/dags").raise_for_status().json()["dags"]
        assert {dag["dag_id"]: dag["is_paused"] for dag in dags} == {
            "consistency": True, "daily_features": True, "daily_retrain": True,
        }  # fmt: skip
        assert client.get("/importErrors").raise_for_status().json()["total_entries"] == 0
        assert client.get("/pools/gpu").raise_for_status().json()["slots"] == 1


def test_nobody_gets_in_without_the_password(airflow: Standalone) -> None:
    assert httpx.get(f"{airflow.url}/api/v2/dags").status_code == 401
    guess = {"username": "admin", "password": "admin"}
    assert httpx.post(f"{airflow.url}/auth/token", json=guess).status_code == 401


def test_every_socket_listens_on_loopback_only(airflow: Standalone) -> None:
    listening = {
        connection.laddr.ip
        for process in airflow.family
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_ctrl_c_ends_everything_it_started(airflow: Standalone) -> None:
    family = airflow.family
    assert len(family) >= 3
    airflow.process.send_signal(signal.SIGINT)
    assert airflow.process.wait(timeout=60) == 0
    assert psutil.wait_procs(family, timeout=10)[1] == []
