"""What Airflow is told on this machine: variables of the environment, secrets among them, and the password.

Secrets are new at every start and reach the components by the environment only, which no other user sees.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

from infra.airflow.components import HOST, free_port
from pipelines.settings import CHECKOUT, Settings

AIRFLOW = Path(sys.executable).with_name("airflow")
ADMIN = "admin"
USUAL_PORT = 8080


def airflow_home() -> Path:
    """The folder of Airflow's logs and password, below Gatehouse's home."""
    home = Settings().home.resolve() / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    return home


def api_port() -> int:
    """The API server's port: AIRFLOW__API__PORT, by default 8080; any free one if that is taken, or 0."""
    return free_port(int(os.environ.get("AIRFLOW__API__PORT", USUAL_PORT)))


def common(home: Path, port: int) -> dict[str, str]:
    """What every component is told, workers included.

    Args:
        home: Airflow's.
        port: of the API server.
    """
    return {
        **os.environ,
        "PATH": f"{AIRFLOW.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
    }


def control_plane(port: int) -> dict[str, str]:
    """What the components that decide are told besides: where to listen, and what to sign with."""
    return {
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(64),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
    }


def admin_password(home: Path) -> str:
    """The password of `admin`, made on first use and kept in the file Airflow reads."""
    path = home / "simple_auth_manager_passwords.json.generated"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump({ADMIN: secrets.token_urlsafe(12)}, stream)
    return str(json.loads(path.read_text())[ADMIN])
