"""The HTTP service and `feast serve`, asked for the same features in the same words.

python -m benchmarks.lookup_http HOME PORT    serves the made-up catalog, for the benchmark
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
import yaml
from feast import FeatureStore

from benchmarks.clients import Ask, ask_at_once
from benchmarks.lookup_data import CATALOG, ROWS, ids
from features.serving.service import Configuration, make_app
from features.store import open_store

COUNTS, CLIENTS = (100, 500), (1, 8)
PATH = "/get-online-features"
_PATIENCE = 90.0
_REQUESTS = 100


def measure_http(ours: FeatureStore, feasts: FeatureStore, folder: Path, seconds: float) -> dict[str, Any]:
    """Requests a second and p99 of both, by rows of a request and clients; one worker process each."""
    figures: dict[str, dict[str, float]] = {}
    home = Path(ours.repo_path).parent
    commands = {
        "gatehouse serve": [sys.executable, "-m", "benchmarks.lookup_http", str(home), _free_port()],
        "feast serve": _feast_command(feasts, folder / "feast-serve", _free_port()),
    }
    for name, command in commands.items():
        port = int(command[-1])
        with _serving(command, port):
            figures[name] = {}
            for count in COUNTS:
                for clients in CLIENTS:
                    taken = ask_at_once(partial(_connect, port, count), clients, seconds)
                    figures[name] |= {
                        f"requests_s_{count}_{clients}": len(taken) / seconds,
                        f"p50_{count}_{clients}": float(np.percentile(taken, 50)),
                        f"p99_{count}_{clients}": float(np.percentile(taken, 99)),
                    }
    return figures


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def _connect(port: int, count: int) -> Ask:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    random = np.random.default_rng(count)
    bodies = [
        json.dumps(
            {"feature_service": ROWS, "full_feature_names": True, "entities": {"item_id": ids(count, random)}}
        )
        for _ in range(_REQUESTS)
    ]

    def ask(number: int) -> bytes:
        connection.request("POST", PATH, bodies[number % len(bodies)], {"Content-Type": "application/json"})
        with connection.getresponse() as answer:
            body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body[:500]!r}")
        return body

    return ask


def _feast_command(store: FeatureStore, repository: Path, port: str) -> list[str]:
    """`feast serve` of a store, whose settings are written where it looks for them."""
    repository.mkdir()
    config = store.config.model_dump(mode="json", include={"project", "provider"})
    config |= {
        "entity_key_serialization_version": 3,
        "registry": str(store.config.registry.path),
        "online_store": store.config.online_store.model_dump(
            mode="json", include={"type", "connection_string"}
        ),
        "offline_store": {"type": "duckdb"},
    }
    (repository / "feature_store.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    feast = str(Path(sys.executable).with_name("feast"))
    quiet = ["--no-access-log", "--max-requests", "1000000"]
    return [feast, "-c", str(repository), "serve", *quiet, "-p", port]


@contextmanager
def _serving(command: list[str], port: int) -> Iterator[None]:
    """A server in a process of its own, once it answers."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(lambda: _answers(port, 10), process)
            yield
        finally:
            process.terminate()


def _answers(port: int, count: int) -> bool:
    with suppress(OSError, http.client.HTTPException, RuntimeError):
        _connect(port, count)(0)
        return True
    return False


def _wait(done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not done():
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"{process.args} does not answer")
        time.sleep(0.2)


if __name__ == "__main__":
    home = Path(sys.argv[1])
    app = make_app(Configuration(open_store(home, home / "feature_store.yaml"), CATALOG))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="error")
