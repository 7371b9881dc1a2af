"""Airflow on this machine only: scheduler, DAG processor and API server with these DAGs, until Ctrl-C.

    make airflow

`airflow standalone` would do, but its log servers listen on every interface and cannot be bound, so
the components are started here without them; the API server reads the logs from the disk.
"""

from __future__ import annotations

from infra.airflow.components import ComponentError, components, console, watch
from infra.airflow.control import airflow, announce, furnish, migrate, wait_until_ready
from infra.airflow.environment import admin_password, airflow_home, api_port, common, control_plane
from pipelines.foreground import run_until_interrupted

PARALLELISM = 4  # tasks at a time; Airflow keeps a worker process for each
PATIENCE = 60  # seconds to wait for another component to be done with SQLite; 5 are usual, and too few
COMPONENTS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "api-server": ("api-server", "--workers", "1"),
}


def main() -> int:
    """Run Airflow until it is interrupted; the exit status is 1 when a component ended by itself."""
    home = airflow_home()
    port = api_port()
    environment = {
        # First, so that a database of one's own takes its place.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout={PATIENCE}",
        **common(home, port),
        **control_plane(port),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
    }
    admin_password(home)  # before Airflow makes one of its own
    try:
        with components(home / "logs") as parts:
            migrate(home / "logs", environment)
            furnish(home / "logs", environment, gpus=1)
            for name, arguments in COMPONENTS.items():
                parts.start(airflow(name, arguments, environment))
            wait_until_ready(parts, port, health=("scheduler", "dag_processor"))
            announce(home, port)
            watch(parts)
    except ComponentError as error:
        console.print(f"[bold red]error:[/] {error}", soft_wrap=True)
    return 1


if __name__ == "__main__":
    run_until_interrupted(main)
