"""What `make airflow` starts: reachable on loopback only, usable over REST, and gone after Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import psutil
import pytest

from features.serving.served import Served, write_receipt
from tests.e2e.airflows import Airflow, airflow
from tests.homes import make_home

pytestmark = [pytest.mark.airflow, pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("airflow") / "home", "simulated")


@pytest.fixture(scope="module")
def standalone(home: Path) -> Iterator[Airflow]:
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


def test_housekeeping_removes_what_is_old_and_starts_the_training_whose_event_was_missed(
    standalone: Airflow, home: Path
) -> None:
    logs, lineage = (
        home / "airflow" / "logs" / "dag_id=daily_retrain",
        home / "runs" / "simulated" / "lineage",
    )
    old = [logs / "run_id=old" / "task_id=train" / "attempt=1.log", lineage / "ds=2025-01-01.jsonl"]
    young = [logs / "run_id=young" / "task_id=train" / "attempt=1.log", lineage / "ds=2025-01-02.jsonl"]
    leftover = home / "models" / "simulated" / "pepnet" / ".gone-ds=2025-01-01"
    for path in (*old, *young, leftover / "model.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for path in old:
        os.utime(path, (0, 0))
    (home / "feast").mkdir()
    write_receipt(home / "feast", Served(dataset="simulated", ds=date(2026, 1, 6), views={}))

    standalone.unpause("housekeeping")
    run = standalone.finished(standalone.trigger("housekeeping"))

    assert [path.exists() for path in (*old, leftover)] == [False] * 3
    assert [path.exists() for path in young] == [True] * 2
    states = {task["task_id"]: task["state"] for task in standalone.tasks(run)}
    assert states == dict.fromkeys(("housekeeping", "behind", "parts", "start"), "success")
    # daily_retrain was paused when the day's event came; once it is not, it trains
    [missed] = standalone.runs("daily_retrain")
    assert (missed["dag_run_id"], missed["conf"]) == ("missed__2026-01-06", {"ds": "2026-01-06"})


def test_ctrl_c_ends_everything_it_started(standalone: Airflow) -> None:
    family = standalone.family
    assert len(family) >= 3
    standalone.process.send_signal(signal.SIGINT)
    assert standalone.process.wait(timeout=60) == 0
    assert psutil.wait_procs(family, timeout=10)[1] == []
