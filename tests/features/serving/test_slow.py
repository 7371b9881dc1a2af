"""Callers that are slow or many on purpose are turned away; the others are answered meanwhile."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests
from feast import FeatureStore

from features.serving.service import Configuration
from features.serving.web.limits import Limits
from features.serving.web.slow import Impatient
from pipelines.settings import Settings
from tests.features.serving.running import post, serving, wait_until

LOOKUP = {"service": "ranker_v1", "scenario": "scenario-1", "user": "user-0", "items": ["item-0"]}
BODY = json.dumps(LOOKUP).encode()
HEAD = (
    b"POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)
SECONDS = 1.0


class Hasty(Impatient):
    seconds = SECONDS


@pytest.fixture(scope="module")
def url(store: FeatureStore, served: Settings) -> Iterator[str]:
    with serving(Configuration(store, served.catalog, limits=Limits(seconds=SECONDS)), Hasty) as url:
        yield url


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30) as opened:
        yield opened


def trickled(opened: socket.socket, content: bytes) -> bytes:
    """What is answered to `content`, sent a byte at a time, too slowly to be in time."""
    opened.settimeout(3 * SECONDS / len(content))
    for byte in content:
        opened.send(bytes([byte]))
        try:
            return opened.recv(1000)  # the wait between two bytes
        except TimeoutError:
            continue
    return b"in time"


def test_connection_that_says_nothing_is_closed(url: str) -> None:
    with connection(url) as opened:
        assert opened.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert opened.recv(1000) == b""


def test_head_that_trickles_is_given_up(url: str) -> None:
    with connection(url) as opened:
        assert trickled(opened, HEAD[:30]).startswith(b"HTTP/1.1 408 ")


def test_head_that_trickles_after_an_answer_is_given_up_too(url: str) -> None:
    with connection(url) as opened:
        opened.sendall(HEAD + BODY)
        assert opened.recv(12) == b"HTTP/1.1 200"
        while not opened.recv(65_536).endswith(b"}"):
            pass
        assert trickled(opened, HEAD[:30]).startswith(b"HTTP/1.1 408 ")


def test_body_that_trickles_is_given_up(url: str) -> None:
    with connection(url) as opened:
        opened.sendall(HEAD)
        answer = trickled(opened, BODY[:30])
        opened.settimeout(30)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"may take 1 s to arrive" in answer + opened.recv(1000)


def test_head_without_an_end_is_cut_off(url: str) -> None:
    with connection(url) as opened:
        opened.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 2 * Impatient.head_bytes)
        assert opened.recv(12) == b"HTTP/1.1 431"


def test_answer_that_nobody_reads_does_not_stay(store: FeatureStore, served: Settings) -> None:
    lost: list[Impatient] = []

    class Noting(Hasty):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.append(self)
            super().connection_lost(exc)

    body = json.dumps({**LOOKUP, "items": ["item-0"] * 20_000}).encode()  # more than sockets hold
    head = HEAD.replace(b"Content-Length: %d" % len(BODY), b"Content-Length: %d" % len(body))
    configuration = Configuration(store, served.catalog, limits=Limits(rows=20_000))
    with serving(configuration, Noting) as url, connection(url) as opened:
        opened.sendall(head + body)
        wait_until(lambda: lost)


def test_others_are_answered_while_many_connections_dawdle(url: str) -> None:
    with ExitStack() as stack:
        many = [stack.enter_context(connection(url)) for _ in range(300)]
        for place, opened in enumerate(many):
            opened.sendall(b"" if place % 3 == 0 else HEAD[:20] if place % 3 == 1 else HEAD + BODY[:5])
        assert post(f"{url}/v1/lookup", LOOKUP).status_code == 200
        assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
        for opened in many:
            assert opened.recv(12) == b"HTTP/1.1 408", "each of them is given up"


def test_websocket_is_not_spoken(url: str) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert requests.get(f"{url}/v1/lookup", headers=upgrade, timeout=10).status_code == 405
