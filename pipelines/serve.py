"""Serve what was materialized and published over HTTP, in one process or several."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from uvicorn.supervisors import Multiprocess

from pipelines.errors import SettingsError
from pipelines.foreground import run_until_interrupted
from pipelines.observing.logs import configure_logging
from pipelines.registry.follow import following, read_wanted
from pipelines.settings import Settings

_GRACE = 30
"""Seconds that requests may take to finish once the service was told to stop."""
_START = 60
"""Seconds a worker may be silent: while it starts it loads Feast and the model."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker process makes its application of; it travels to the process.

    Attributes:
        settings: where things are.
        wall_clock: whether ages are judged by the time of the day, not by the served snapshot.
        wanted: where it is noted which model is to rank; see pipelines.registry.follow.
        metrics: where all workers keep their counts; None where there is a single one.
    """

    settings: Settings
    wall_clock: bool
    wanted: Path
    metrics: Path | None


def serve(settings: Settings, *, host: str, port: int, workers: int, wall_clock: bool) -> NoReturn:
    """Answer requests until interrupted; those that are being answered then are finished.

    Raises:
        SettingsError: without tokens the address must be this machine's own.
        TokenError: the file of tokens is missing or damaged.
    """
    from features.serving.web.slow import Impatient

    _require_safe(settings, host)

    def run() -> int:
        with _shared_metrics(workers) as metrics, following(settings) as wanted:
            make = partial(make_worker_app, Worker(settings, wall_clock, wanted, metrics))
            config = uvicorn.Config(
                make,
                factory=True,
                http=Impatient,
                ws="none",  # there is no WebSocket, so nobody need knock at one
                host=host,
                port=port,
                workers=workers,
                access_log=False,  # the metrics count requests; a log of addresses is nobody's need
                server_header=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=_GRACE,
                timeout_worker_healthcheck=_START,
            )
            if workers == 1:
                server = uvicorn.Server(config)
                server.run()
                return 0 if server.started else 1
            Multiprocess(config, sockets=[config.bind_socket()]).run()
            return 0

    run_until_interrupted(run)


def make_worker_app(worker: Worker) -> Any:
    """The application of one worker process."""
    from features.serving.guard import Patience
    from features.serving.service import Configuration, make_app
    from features.serving.web.limits import Limits
    from features.serving.web.tokens import Tokens
    from features.store import open_store

    settings = worker.settings
    configure_logging(settings.log_format)
    return make_app(
        Configuration(
            store=open_store(settings.home),
            catalog=settings.catalog,
            clock=(lambda _: datetime.now(UTC)) if worker.wall_clock else (lambda served: served.instant),
            patience=Patience(),
            limits=Limits(settings.serve_bytes, settings.serve_rows, settings.serve_rate),
            tokens=Tokens(settings.tokens) if settings.tokens else None,
            wanted=partial(read_wanted, worker.wanted),
            notes=_request_log(settings),
            metrics=worker.metrics,
        )
    )


def new_token(settings: Settings, name: str, services: Sequence[str], *, rank: bool) -> str:
    """A new token; its hash is added to the file that GATEHOUSE_TOKENS names.

    Raises:
        SettingsError: no file is named.
        DeclarationError: there is no such feature service.
        TokenError: the name cannot be one or is taken.
    """
    from features.serving.web.tokens import add_token

    if settings.tokens is None:
        raise SettingsError("set GATEHOUSE_TOKENS to the file that is to hold the hashes of tokens")
    for service in services:
        settings.catalog.service(service)
    return add_token(settings.tokens, name, services, rank=rank)


def _require_safe(settings: Settings, host: str) -> None:
    from features.serving.web.tokens import Tokens

    if settings.tokens is not None:
        Tokens(settings.tokens)
    elif not _is_loopback(host):
        raise SettingsError(
            f"--host {host} can be reached from other machines, and anybody could ask: set GATEHOUSE_TOKENS "
            "to a file of tokens (`gatehouse token NAME` makes one), or leave the host at 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    """Whether every address of `host` is this machine's own."""
    try:
        found = {str(address[0]) for *_, address in socket.getaddrinfo(host or None, None)}
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(f"--host {host} is no address: {error}") from error
    return bool(host) and all(ipaddress.ip_address(address).is_loopback for address in found)


def _request_log(settings: Settings) -> Any:
    if not settings.request_log_share:
        return None
    from features.serving.request_log import RequestLog

    return RequestLog(settings.requests, settings.request_log_share)


@contextmanager
def _shared_metrics(workers: int) -> Iterator[Path | None]:
    """A folder for the counts of several workers, which prometheus_client finds through the environment."""
    if workers == 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="gatehouse-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield Path(folder)
