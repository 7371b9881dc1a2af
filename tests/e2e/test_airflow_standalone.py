"""What `make airflow` starts: reachable on loopback only, usable over REST, and gone after Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.e2e.airflows import Airflow, airflow
from tests.homes import make_home

pytestmark = [pytest.mark.airflow, pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = make_home(tmp_path_factory.mktemp("airflow") / "home", "simulated")
    with airflow("infra.airflow.standalone", home) as started:
        yield started


def test_dags_are_listed_paused_and_without_import_errors(standalone: Airflow) -> None:
    dags = standalone.get("/dags")["dags"]
    assert {dag["dag_id"]: dag["is_paused"] for dag in dags} == dict.fromkeys(
        (
            "backfill", "consistency", "daily_features", "daily_retrain", "housekeeping", "late_logs",
            "rollback",
        ),
        True,
    )  # fmt: skip
    assert standalone.get("/importErrors")["total_entries"] == 0
    assert standalone.get("/pools/gpu")["slots"] == 1


def test_nobody_gets_in_without_the_password(standalone: Airflow) -> None:
    assert httpx.get(f"{standalone.url}/api/v2/dags").status_code == 401
    guess = {"username": "admin", "password": "admin"}
    assert httpx.post(f"{standalone.url}/auth/token", json=guess).status_code == 401


def test_every_socket_listens_on_loopback_only(standalone: Airflow) -> None:
    assert standalone.listens_at() == {"127.0.0.1"}


def test_ctrl_c_ends_everything_it_started(standalone: Airflow) -> None:
    family = standalone.family
    assert len(family) >= 3
    standalone.process.send_signal(signal.SIGINT)
    assert standalone.process.wait(timeout=60) == 0
    assert psutil.wait_procs(family, timeout=10)[1] == []
