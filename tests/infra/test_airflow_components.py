"""Processes of an Airflow on this machine: how they are started, watched and ended."""

from __future__ import annotations

import os
import signal
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import pytest

from infra.airflow.backends import POSTGRES, start_backends
from infra.airflow.cluster import cluster_workers
from infra.airflow.components import RESTARTS, Component, ComponentError, components, watch
from tests.e2e.airflows import wait_for

HERE = dict(os.environ)


def test_watching_names_a_component_that_ended_and_its_status(tmp_path: Path) -> None:
    with components(tmp_path) as parts, components(tmp_path) as others:
        others.start(Component("steady", ("sleep", "600"), HERE))
        parts.start(Component("broken", ("sh", "-c", "exit 3"), HERE))
        with pytest.raises(ComponentError, match="broken ended with status 3"):
            watch(others, parts, restarted={"steady"})


def test_watching_starts_a_component_again_until_it_has_ended_too_often(tmp_path: Path) -> None:
    with components(tmp_path) as parts:
        parts.start(Component("broken", ("sh", "-c", "echo started; exit 3"), HERE))
        with pytest.raises(ComponentError, match="broken ended with status 3"):
            watch(parts, restarted={"broken"})
    assert (tmp_path / "broken.log").read_text() == "started\n" * (1 + RESTARTS)


def test_component_that_ran_for_a_while_is_started_again_however_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.airflow.components.BROKEN_SECONDS", 0)
    with components(tmp_path) as parts:
        parts.start(Component("worker", ("sh", "-c", "exit 3"), HERE))
        for _ in range(2 * RESTARTS):
            wait_for("the end of the worker", lambda: parts.ended() == ["worker"], seconds=10)
            parts.mend({"worker"})


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGQUIT, signal.SIGKILL])
def test_postgres_comes_back_with_what_was_committed_when_it_is_killed(
    tmp_path: Path, kill: signal.Signals
) -> None:
    with TemporaryDirectory(prefix="gatehouse-postgres-") as folder, components(tmp_path) as servers:
        url = start_backends(servers, Path(folder)).metadata.replace("+psycopg2", "")
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept (number integer); INSERT INTO kept VALUES (7)")
        [postmaster] = [each for each in psutil.Process().children() if each.name() == "postgres"]
        postmaster.send_signal(kill)

        def kept() -> int | None:
            servers.mend(restarted={POSTGRES})
            with suppress(psycopg2.OperationalError), closing(psycopg2.connect(url)) as connection:
                cursor = connection.cursor()
                cursor.execute("SELECT number FROM kept")
                [(number,)] = cursor.fetchall()
                return int(number)
            return None

        psutil.wait_procs([postmaster], timeout=10)
        assert wait_for("Postgres", kept, seconds=30) == 7


def test_waiting_ends_when_a_component_has_ended(tmp_path: Path) -> None:
    with components(tmp_path) as parts:
        parts.start(Component("broken", ("false",), HERE))
        with pytest.raises(ComponentError, match="broken ended"):
            parts.wait_until(lambda: False)


def test_components_end_with_everything_they_started(tmp_path: Path) -> None:
    log = tmp_path / "shell.log"
    with components(tmp_path) as parts:
        parts.start(Component("shell", ("sh", "-c", "sleep 600 & echo $!; wait"), HERE))
        parts.wait_until(lambda: log.read_text().endswith("\n"))
        left = psutil.Process(int(log.read_text()))
    assert psutil.wait_procs([left], timeout=5)[1] == []


def test_secrets_reach_a_component_and_are_not_shown(tmp_path: Path) -> None:
    with components(tmp_path) as parts:
        component = Component("cat", ("cat",), {**HERE, "KEY": "in the environment"}, stdin="on the input")
        parts.start(component)
        parts.wait_until(lambda: (tmp_path / "cat.log").read_text() == "on the input")
        assert "in the environment" not in repr(component)
        assert "on the input" not in repr(component)


def test_each_gpu_gets_a_worker_that_sees_it_alone_and_trains_one_model_at_a_time() -> None:
    cpu, *gpus = cluster_workers({}, ["0", "1"])
    assert "CUDA_VISIBLE_DEVICES" not in cpu.environment
    assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in gpus] == ["0", "1"]
    for worker in gpus:
        assert " ".join(map(str, worker.command)).count("--queues gpu --concurrency 1 ") == 1
    assert len({worker.name for worker in (cpu, *gpus)}) == 3


def test_one_gpu_worker_sees_whatever_is_there_when_no_device_is_named() -> None:
    _, gpu = cluster_workers({}, [None])
    assert "CUDA_VISIBLE_DEVICES" not in gpu.environment
