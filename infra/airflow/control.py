"""Airflow's own components: prepared, started and waited for."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra.airflow.components import HOST, Component, ComponentError, Components, console
from infra.airflow.environment import ADMIN, AIRFLOW, admin_password


def migrate(logs: Path, environment: Mapping[str, str]) -> None:
    """Bring the metadata database up to date.

    Args:
        logs: folder of prepare.log.
        environment: of the components that decide.

    Raises:
        ComponentError: the command failed.
    """
    _run(logs, environment, "db", "migrate")


def furnish(logs: Path, environment: Mapping[str, str], gpus: int) -> None:
    """Put the pool `gpu` and the DAGs into the database, so that they are there from the first request on.

    One command after the other, before any component runs: SQLite has room for one writer, and refuses at
    once a transaction that has read what another one changed since.

    Args:
        logs: folder of prepare.log.
        environment: of the components that decide.
        gpus: trainings at a time.

    Raises:
        ComponentError: a command failed.
    """
    _run(logs, environment, "pools", "set", "gpu", str(gpus), "one training at a time per GPU")
    _run(logs, environment, "dags", "reserialize")


def _run(logs: Path, environment: Mapping[str, str], *arguments: str) -> None:
    with (logs / "prepare.log").open("a") as log:
        ended = subprocess.run([AIRFLOW, *arguments], env=environment, stdout=log, stderr=log, check=False)
    if ended.returncode != 0:
        raise ComponentError(f"`airflow {' '.join(arguments)}` failed; see {logs / 'prepare.log'}")


def airflow(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Component:
    """The component that `airflow ARGUMENTS` is."""
    return Component(name, (AIRFLOW, *arguments), environment)


def wait_until_ready(
    parts: Components, port: int, health: Sequence[str], also: Callable[[], bool] = lambda: True
) -> None:
    """Wait until the named parts report healthy to the API server, and `also` holds.

    Raises:
        ComponentError: a component ended, or time ran out.
    """
    with console.status("Starting Airflow"):
        parts.wait_until(lambda: _healthy(port, health) and also())


def _healthy(port: int, parts: Sequence[str]) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except OSError:
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", *parts))


def announce(home: Path, port: int) -> None:
    """Say where Airflow is and who gets in."""
    console.print(
        f"Airflow is ready at [bold]http://{HOST}:{port}[/] as {ADMIN}, "
        f"password [bold]{admin_password(home)}[/]",
        soft_wrap=True,
    )
    console.print(f"Logs are in {home / 'logs'}. DAGs start paused. Ctrl-C stops it.", soft_wrap=True)
