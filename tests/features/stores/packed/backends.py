"""The packed store's backends, each on a real server where it needs one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.stores.packed.backend import Backend
from features.stores.packed.redis import RedisBackend
from features.stores.packed.sqlite import SqliteBackend
from tests.valkeys import valkey, valkey_cluster

BACKENDS = ("sqlite", "valkey", "cluster")


@contextmanager
def backend_of(kind: str, folder: Path) -> Iterator[Backend]:
    """A backend of project `test` with nothing in it."""
    if kind == "sqlite":
        yield SqliteBackend(folder / "online.db", "test")
        return
    with valkey_cluster() if kind == "cluster" else valkey() as url:
        yield RedisBackend(url, cluster=kind == "cluster", project="test", timeout=5.0)
