"""A Spark standalone cluster on this machine: a master and two workers, on loopback, until Ctrl-C.

    make spark-cluster

Each is a process of its own, as on a cluster of many machines, so that what only a cluster has can be
tried: executors that are lost, tasks that run twice, files that several processes write. Point
GATEHOUSE_SPARK_MASTER at the printed address. https://spark.apache.org/docs/latest/spark-standalone.html
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from infra.spark.daemon import daemon_command, daemon_environment
from pipelines.foreground import run_until_interrupted
from pipelines.spark.java import provide_java

HOST = "127.0.0.1"
WORKER_HOSTS = ("127.0.0.2", "127.0.0.3")  # two, for Spark runs no task twice on one host; both loopback
READY_SECONDS = 60
STOP_SECONDS = 10
console = Console()


class ClusterError(RuntimeError):
    """The cluster did not come up."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        url: the master's address for GATEHOUSE_SPARK_MASTER, spark://127.0.0.1:PORT.
        state_url: the master's page that tells its workers and applications as JSON.
        workers: the workers' processes; each leads a group that its executors belong to.
        folder: logs and scratch; removed with the cluster.
    """

    url: str
    state_url: str
    master: subprocess.Popen[bytes]
    workers: Sequence[subprocess.Popen[bytes]]
    folder: Path

    def alive_workers(self) -> int:
        """How many workers the master counts on; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(self.state_url, timeout=5) as answer:  # noqa: S310 -- loopback
                return int(json.load(answer)["aliveworkers"])
        except OSError:
            return 0

    def kill_worker(self, number: int) -> None:
        """End a worker and its executors at once, as when a machine is lost."""
        _signal(self.workers[number], signal.SIGKILL)
        self.workers[number].wait()

    def ended(self) -> list[str]:
        """Names of the processes that are no longer there."""
        named = {"master": self.master} | {f"worker-{n}": worker for n, worker in enumerate(self.workers)}
        return [name for name, process in named.items() if process.poll() is not None]


@contextmanager
def cluster(cores: int = 1, memory: str = "2g") -> Iterator[Cluster]:
    """Start a cluster and wait until all workers have registered; stop it on the way out.

    Args:
        cores: what each worker offers.
        memory: what each worker offers to executors, Spark notation.

    Raises:
        ClusterError: a process ended or did not register in time; the message holds the logs' ends.
        SettingsError: no Java 17 or newer can be found.
    """
    provide_java()
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-spark-"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        port, page = _free_port(), _free_port()
        url = f"spark://{HOST}:{port}"
        started.append(
            _start(folder, "master", "master", HOST, "--port", str(port), "--webui-port", str(page))
        )
        for number, host in enumerate(WORKER_HOSTS):
            started.append(
                _start(
                    folder, f"worker-{number}", "worker", host, "--port", "0", "--webui-port", "0",
                    "--work-dir", str(folder / f"work-{number}"),
                    "--cores", str(cores), "--memory", memory, url,
                )
            )  # fmt: skip
        running = Cluster(url, f"http://{HOST}:{page}/json/", started[0], tuple(started[1:]), folder)
        _wait_until_registered(running)
        yield running
    finally:
        _stop(started)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, name: str, role: str, host: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a daemon of Spark's, which listens on `host` only, in a process group of its own."""
    environment = daemon_environment(host) | {"SPARK_LOCAL_DIRS": str(folder / "scratch")}
    command = daemon_command(role, "--host", host, *arguments)
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def _wait_until_registered(running: Cluster) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while running.alive_workers() < len(WORKER_HOSTS):
        ended = running.ended()
        if ended or time.monotonic() > deadline:
            what = f"{', '.join(ended)} ended" if ended else f"not all workers came within {READY_SECONDS} s"
            logs = "\n".join(path.read_text()[-2000:] for path in sorted(running.folder.glob("*.log")))
            raise ClusterError(f"the Spark cluster did not start: {what}\n{logs}")
        time.sleep(0.2)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask every process to end, workers first, then end what is left of the groups."""
    for process in reversed(processes):
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in reversed(processes):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Run a cluster until it is interrupted; the exit status is 1 when a process ended by itself."""
    with cluster() as running:
        console.print(f"Spark is ready: export GATEHOUSE_SPARK_MASTER={running.url}", soft_wrap=True)
        console.print(f"Logs are in {running.folder}. Ctrl-C stops it.", soft_wrap=True)
        while not running.ended():
            time.sleep(1)
        console.print(f"[bold red]error:[/] {', '.join(running.ended())} ended")
        return 1


if __name__ == "__main__":
    run_until_interrupted(main)
