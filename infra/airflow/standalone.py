"""Airflow on this machine only: scheduler, DAG processor and API server with these DAGs, until Ctrl-C.

`airflow standalone` would do, but its log servers listen on every interface and cannot be bound, so
the components are started here without them; the API server reads the logs from the disk.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from pipelines.foreground import run_until_interrupted
from pipelines.settings import CHECKOUT, Settings

HOST = "127.0.0.1"
USUAL_PORT = 8080
READY_SECONDS = 180
STOP_SECONDS = 20
PARALLELISM = 4  # tasks at a time; Airflow keeps a worker process for each
COMPONENTS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "api-server": ("api-server", "--workers", "1"),
}
PREPARATIONS = (
    ("db", "migrate"),
    ("pools", "set", "gpu", "1", "one training at a time per GPU"),
    ("dags", "reserialize"),  # so that they are there from the first request on
)
AIRFLOW = Path(sys.executable).with_name("airflow")
console = Console()


def main() -> int:
    """Run Airflow until it is interrupted; the exit status is 1 when a component ended by itself."""
    home = Settings().home.resolve() / "airflow"
    (home / "logs").mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = airflow_environment(home, port)
    password = admin_password(home)
    with console.status("Preparing Airflow's database"):
        for arguments in PREPARATIONS:
            with (home / "logs" / "prepare.log").open("a") as log:
                subprocess.run([AIRFLOW, *arguments], env=environment, stdout=log, stderr=log, check=True)
    with components(home, environment) as children:
        url = f"http://{HOST}:{port}"
        with console.status("Starting Airflow"):
            if not ready(url, children):
                return failed(home, children)
        console.print(f"Airflow is ready at [bold]{url}[/] as admin, password [bold]{password}[/]")
        console.print(f"Logs are in {home / 'logs'}. DAGs start paused. Ctrl-C stops it.", soft_wrap=True)
        while all(child.poll() is None for child in children.values()):
            time.sleep(1)
        return failed(home, children)


def free_port() -> int:
    """8080 if nobody listens there, else any free port."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RuntimeError("no free port")


def airflow_environment(home: Path, port: int) -> dict[str, str]:
    """The environment of every component; secrets are new at every start."""
    return {
        **os.environ,
        "PATH": f"{AIRFLOW.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(32),
    }


def admin_password(home: Path) -> str:
    """The password of `admin`, made on first use and kept in the file Airflow reads."""
    path = home / "simple_auth_manager_passwords.json.generated"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump({"admin": secrets.token_urlsafe(12)}, stream)
    return str(json.loads(path.read_text())["admin"])


@contextmanager
def components(home: Path, environment: dict[str, str]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start every component in a process group of its own; end the groups on the way out."""
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in COMPONENTS.items():
            with (home / "logs" / f"{name}.log").open("ab") as log:
                children[name] = subprocess.Popen(
                    [AIRFLOW, *arguments], env=environment, stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        yield children
    finally:
        for child in children.values():
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=max(0.0, deadline - time.monotonic()))
            _signal(child, signal.SIGKILL)  # what is left of the group
            child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def ready(url: str, children: dict[str, subprocess.Popen[bytes]]) -> bool:
    """Wait until the scheduler and the DAG processor report healthy; False when one ended or time ran out."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and all(child.poll() is None for child in children.values()):
        try:
            with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310
                health = json.load(answer)
            if all(
                health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")
            ):
                return True
        except OSError:
            pass
        time.sleep(1)
    return False


def failed(home: Path, children: dict[str, subprocess.Popen[bytes]]) -> int:
    """Say which component ended, and where its log is."""
    ended = [name for name, child in children.items() if child.poll() is not None]
    which = f"{', '.join(ended)} ended" if ended else f"Airflow was not ready after {READY_SECONDS} s"
    console.print(f"[bold red]error:[/] {which}; see {home / 'logs'}", soft_wrap=True)
    return 1


if __name__ == "__main__":
    run_until_interrupted(main)
