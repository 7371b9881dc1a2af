"""Real Airflows for tests: started by the commands that people use, and asked over REST."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pipelines.settings import CHECKOUT

Json = dict[str, Any]
POLL_SECONDS = 0.5
POLL_RUN_SECONDS = 3.0  # a run takes minutes, and each answer is work for Airflow
DONE = ("success", "failed")
SETTLED = {
    "COLUMNS": "300",
    "AIRFLOW__API__PORT": "0",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",  # seconds: no test changes a DAG's file
}


@dataclass(frozen=True)
class Airflow:
    """An Airflow that is ready."""

    process: subprocess.Popen[str]
    url: str
    password: str

    @property
    def family(self) -> list[psutil.Process]:
        """Everything it started, and what that started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def components(self) -> list[psutil.Process]:
        """What it started itself; each leads a process group."""
        return psutil.Process(self.process.pid).children()

    def listens_at(self) -> set[str]:
        """Addresses of all sockets that its processes listen on."""
        addresses = set()
        for process in self.family:
            with suppress(psutil.NoSuchProcess):  # some live for a moment only
                connections = process.net_connections("tcp")
                addresses |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
        return addresses

    @cached_property
    def rest(self) -> httpx.Client:
        """A client of the REST API that has logged in."""
        login = {"username": "admin", "password": self.password}
        token = httpx.post(f"{self.url}/auth/token", json=login).raise_for_status().json()["access_token"]
        return httpx.Client(
            base_url=f"{self.url}/api/v2", headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    def get(self, path: str, **parameters: Any) -> Json:
        return dict(self.rest.get(path, params=parameters).raise_for_status().json())

    def unpause(self, dag: str) -> None:
        self.rest.patch(f"/dags/{dag}", json={"is_paused": False}).raise_for_status()

    def is_well(self) -> bool:
        """Whether it answers, and says that all its parts are well."""
        try:
            parts = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5).raise_for_status().json()
        except httpx.HTTPError:
            return False
        return all(part["status"] in ("healthy", None) for part in parts.values())

    def trigger(self, dag: str, **conf: object) -> Json:
        """Start a run with these parameters, as a person would."""
        body = {"logical_date": None, "conf": {name: str(value) for name, value in conf.items()}}
        return dict(self.rest.post(f"/dags/{dag}/dagRuns", json=body).raise_for_status().json())

    def runs(self, dag: str) -> list[Json]:
        """Runs in order of their start; of those that the schedule made, none."""
        found = self.get(f"/dags/{dag}/dagRuns", order_by="run_after")["dag_runs"]
        for run in found:
            if run["run_type"] == "scheduled" and run["state"] not in DONE:
                self._give_up(run)  # yesterday is not in the log
        return [run for run in found if run["run_type"] != "scheduled"]

    def finished(self, run: Json) -> Json:
        """The run when it has ended, which must be well."""

        def ended() -> Json | None:
            [found] = [each for each in self.runs(run["dag_id"]) if each["dag_run_id"] == run["dag_run_id"]]
            return found if found["state"] in DONE else None

        done = wait_for(f"end of {run['dag_run_id']}", ended, every=POLL_RUN_SECONDS)
        states = {(task["task_id"], task["map_index"]): task["state"] for task in self.tasks(run)}
        assert done["state"] == "success", states
        return dict(done)

    def post_event(self, asset: str, partition: str, extra: Json) -> None:
        """Update a partition of an asset, as a task does whose outlet it is."""
        [found] = self.get("/assets", name_pattern=asset)["assets"]
        body = {"asset_id": found["id"], "partition_key": partition, "extra": extra}
        self.rest.post("/assets/events", json=body).raise_for_status()

    def _give_up(self, run: Json) -> None:
        """Fail a run. While the scheduler writes, the answer may be too late; the next look tells."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}"
        with suppress(httpx.ReadTimeout):
            self.rest.patch(path, json={"state": "failed"}).raise_for_status()

    def tasks(self, run: Json) -> list[Json]:
        """Task instances of a run, mapped ones by their index."""
        return list(self.get(self._path(run))["task_instances"])

    def again(self, task: Json) -> Json:
        """A task instance as it is now."""
        return self.get(self._path_of(task))

    def tries(self, task: Json) -> list[Json]:
        """What became of each try of a task instance."""
        return list(self.get(f"{self._path_of(task)}/tries")["task_instances"])

    def log(self, task: Json, number: int) -> str:
        """The log of one try of a task instance."""
        path = f"{self._path(task)}/{task['task_id']}/logs/{number}"
        told = self.get(path, map_index=task["map_index"], full_content=True)["content"]
        return "\n".join(line if isinstance(line, str) else str(line.get("event")) for line in told)

    def clear(self, task: Json) -> None:
        """Have a task instance run again at once."""
        body = {
            "dry_run": False, "only_failed": False, "dag_run_id": task["dag_run_id"],
            "task_ids": [[task["task_id"], task["map_index"]]],
        }  # fmt: skip
        self.rest.post(f"/dags/{task['dag_id']}/clearTaskInstances", json=body).raise_for_status()

    def _path_of(self, task: Json) -> str:
        index = "" if task["map_index"] < 0 else f"/{task['map_index']}"
        return f"{self._path(task)}/{task['task_id']}{index}"

    @staticmethod
    def _path(run: Json) -> str:
        return f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"


@contextmanager
def airflow(
    module: str, home: Path, meanwhile: Callable[[], None] = lambda: None, **environment: str
) -> Iterator[Airflow]:
    """Start `python -m MODULE` for a home, and stop it by Ctrl-C.

    Args:
        module: infra.airflow.standalone or infra.airflow.cluster.
        home: Gatehouse's.
        meanwhile: is done while Airflow starts.
        environment: further variables.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    with subprocess.Popen(
        [sys.executable, "-m", module], cwd=CHECKOUT,
        env=inherited | SETTLED | {"GATEHOUSE_HOME": str(home)} | environment,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            meanwhile()
            assert process.stdout is not None
            told = process.stdout.readline()
            ready = re.search(r"(http://127\.0\.0\.1:\d+) as admin, password (\S+)", told)
            if ready is None:
                logs = [path.read_text()[-3000:] for path in (home / "airflow" / "logs").glob("*.log")]
                pytest.fail("\n".join([told, *logs]))
            yield Airflow(process, ready[1], ready[2])
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def wait_for(what: str, done: Callable[[], Any], seconds: float = 900.0, every: float = POLL_SECONDS) -> Any:
    """What `done` returns, once that is true; fails after a while."""
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
    return answer
