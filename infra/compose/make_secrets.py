"""Make fresh secrets for compose.yaml: `python3 infra/compose/make_secrets.py`, once; needs nothing else.

They lie in infra/compose/secrets, which nobody but you may enter (0700). The files themselves are readable by
your group (0640): Compose mounts them as they are, and the containers, which run as users of their own, are
given your group (SECRETS_GID in .env) and nothing else of yours. .env is written too if there is none.
A file that is there is kept, so that a second run only adds what is missing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
BYTES = 32
SCRAPER = "prometheus"  # whose token reads /metrics, and nothing else


class SecretsError(RuntimeError):
    """Secrets belong together, and some of them are missing."""


def contents() -> dict[str, str]:
    """File name to what it holds; each password stands in all files that need it."""
    database, results, broker, store, admin = (secrets.token_urlsafe(BYTES) for _ in range(5))
    storage_root, storage, scraper, spark = (secrets.token_urlsafe(BYTES) for _ in range(4))
    grant = {"name": SCRAPER, "sha256": hashlib.sha256(scraper.encode()).hexdigest(), "services": []}
    return {
        "airflow_api_secret_key": secrets.token_urlsafe(BYTES),
        "airflow_database_url": f"postgresql+psycopg2://airflow:{database}@postgres:5432/airflow",
        "airflow_fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(BYTES)).decode(),
        "airflow_jwt_secret": secrets.token_urlsafe(BYTES),
        "airflow_passwords": json.dumps({"admin": admin}),
        "aws_credentials": f"[default]\naws_access_key_id = gatehouse\naws_secret_access_key = {storage}\n",
        "broker.conf": _valkey(broker, persistent=False),
        "celery_broker_url": f"redis://:{broker}@broker:6379/0",
        "celery_result_backend": f"db+postgresql+psycopg2://celery:{results}@postgres:5432/celery",
        "celery_results_password": results,
        "grafana_admin_password": secrets.token_urlsafe(BYTES),
        "minio_gatehouse_password": storage,
        "minio_root_password": storage_root,
        "minio_root_user": "root",
        "online_store.conf": _valkey(store, persistent=True),
        "online_store_url": f"redis://:{store}@online-store:6379/0",
        "postgres_password": database,
        "prometheus_token": scraper,
        "service_tokens": json.dumps(grant) + "\n",
        "spark-defaults.conf": (
            "spark.authenticate true\n"
            f"spark.authenticate.secret {spark}\n"
            "spark.network.crypto.enabled true\n"
            "spark.io.encryption.enabled true\n"
        ),
    }


def _valkey(password: str, *, persistent: bool) -> str:
    """Settings of a Valkey server, which runs in /data: a password, and nothing is thrown away for room."""
    kept = "appendonly yes\n" if persistent else "appendonly no\n"
    return f'requirepass {password}\nsave ""\n{kept}maxmemory-policy noeviction\n'


def write(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """Write the files that are missing, and return their names.

    Raises:
        SecretsError: some of the files are there and others are not; mixing them would part passwords
            that belong together.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing and len(missing) < len(wanted):
        raise SecretsError(
            f"{folder} lacks {', '.join(missing)} and has the others; move the folder away for a fresh set"
        )
    for name in missing:
        _write_new(folder / name, wanted[name], 0o640)
    return missing


def _write_new(path: Path, text: str, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
        os.fchmod(stream.fileno(), mode)  # whatever the umask says
        stream.write(text)


def main() -> int:
    folder = HERE / "secrets"
    try:
        made = write(folder, contents())
    except SecretsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{folder}: {len(made)} secrets made\n")
    environment = HERE / ".env"
    if not environment.exists():
        example = (HERE / ".env.example").read_text(encoding="utf-8")
        _write_new(environment, example.replace("SECRETS_GID=\n", f"SECRETS_GID={os.getgid()}\n"), 0o600)
        sys.stdout.write(f"{environment}: written from .env.example\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
