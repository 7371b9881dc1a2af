"""A real server for tests: the service on a free port of loopback, in a thread of the test's own process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import uvicorn

from features.serving.service import Configuration, make_app
from features.serving.web.slow import Impatient

_PATIENCE = 30.0


@contextmanager
def running(app: Any, protocol: type[Impatient] = Impatient) -> Iterator[str]:
    """The URL of a server of `app`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=protocol, ws="none", log_level="error", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        wait_until(lambda: server.started or not thread.is_alive())
        assert server.started
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_PATIENCE)


@contextmanager
def serving(configuration: Configuration, protocol: type[Impatient] = Impatient) -> Iterator[str]:
    """The URL of the service."""
    with running(make_app(configuration), protocol) as url:
        yield url


def wait_until(done: Any, seconds: float = _PATIENCE) -> None:
    """Ask again and again; TimeoutError when `done` has not been true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.01)


def post(url: str, body: Any, token: str | None = None, **headers: str) -> requests.Response:
    """Ask for what `body` says; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        named["Authorization"] = f"Bearer {token}"
    return requests.post(url, json=body, headers=named, timeout=_PATIENCE)
