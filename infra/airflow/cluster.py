"""Airflow as in production, on this machine only: Celery workers of two queues, Postgres, a broker.

    make airflow-cluster            # one worker trains, on the GPU or the CPU
    make airflow-cluster GPUS=0,1   # one worker per CUDA device

Every component is a process of its own and listens on loopback. One that ends is started again, as systemd or
Kubernetes would, but for the broker, whose queues would be gone. docs/airflow/README.md says what is what.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from celery import Celery

from infra.airflow.backends import POSTGRES, Backends, start_backends
from infra.airflow.components import Component, ComponentError, Components, components, console, watch
from infra.airflow.control import airflow, announce, furnish, migrate, wait_until_ready
from infra.airflow.environment import admin_password, airflow_home, api_port, common, control_plane
from pipelines.foreground import run_until_interrupted

CPU_TASKS = 2  # of the queue `cpu` at a time
LONGEST_TASK = 24 * 3600  # seconds until the broker gives a task that nobody ended to another worker
COMPONENTS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "api-server": ("api-server", "--workers", "1"),
}


def main(gpus: Sequence[str | None]) -> int:
    """Run the cluster until it is interrupted; the exit status is 1 when a component ended by itself.

    Args:
        gpus: CUDA devices, with a worker for each; None stands for whatever is there.
    """
    home = airflow_home()
    try:
        with _folder() as folder, components(home / "logs") as servers:
            _run(home, servers, start_backends(servers, folder), gpus)
    except ComponentError as error:
        console.print(f"[bold red]error:[/] {error}", soft_wrap=True)
    return 1


def _run(home: Path, servers: Components, backends: Backends, gpus: Sequence[str | None]) -> None:
    port = api_port()
    shared = common(home, port) | _celery(backends)
    deciding = {**shared, **control_plane(port), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": backends.metadata}
    workers = cluster_workers(shared, gpus)
    admin_password(home)  # before Airflow makes one of its own
    with components(home / "logs") as parts:
        for worker in workers:
            parts.start(worker)
        migrate(home / "logs", deciding)
        furnish(home / "logs", deciding, gpus=len(gpus))
        for name, arguments in COMPONENTS.items():
            parts.start(airflow(name, arguments, deciding))
        wait_until_ready(
            parts, port, health=("scheduler", "dag_processor", "triggerer"),
            also=partial(_answer, backends.broker, len(workers)),
        )  # fmt: skip
        announce(home, port)
        watch(servers, parts, restarted={POSTGRES, *COMPONENTS, *(worker.name for worker in workers)})


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for Postgres, directly under the machine's folder for temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-postgres-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _celery(backends: Backends) -> dict[str, str]:
    """What the scheduler and the workers are told about each other."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE": "cpu",
        "AIRFLOW__CELERY__BROKER_URL": backends.broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": backends.results,
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": str(LONGEST_TASK),
    }


def cluster_workers(environment: dict[str, str], gpus: Sequence[str | None]) -> list[Component]:
    """A worker of the queue `cpu`, and for each device one of `gpu` that sees it alone and trains one model
    at a time.

    Args:
        environment: of them all.
        gpus: CUDA devices; None stands for whatever is there.
    """
    workers = [_worker("worker-cpu", "cpu", CPU_TASKS, environment)]
    for number, device in enumerate(gpus):
        sees = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
        workers.append(_worker(f"worker-gpu-{number}", "gpu", 1, environment | sees))
    return workers


def _worker(name: str, queue: str, concurrency: int, environment: dict[str, str]) -> Component:
    return airflow(
        name,
        ("celery", "worker", "--queues", queue, "--concurrency", str(concurrency),
         "--celery-hostname", f"{name}@%h", "--skip-serve-logs", "--without-gossip", "--without-mingle"),
        environment,
    )  # fmt: skip


def _answer(broker: str, workers: int) -> bool:
    """Whether so many workers answer."""
    with Celery(broker=broker) as app:
        return len(app.control.ping(timeout=1.0)) == workers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Airflow with Celery workers on this machine, until Ctrl-C.")
    parser.add_argument(
        "--gpus", metavar="0,1",
        help="CUDA devices, one worker each; by default one worker for whatever is there",
    )  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    devices = _arguments().gpus
    run_until_interrupted(partial(main, devices.split(",") if devices else [None]))
