"""Where an online store is: what opens its backend, in this process or on an executor."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from features.stores.packed.backend import Backend


@dataclass(frozen=True, slots=True)
class Place:
    """A store that rows can be written to and read from anywhere.

    Attributes:
        project: Feast's project.
        path: the SQLite file; None for a server.
        url: of the server, with its password.
        cluster: whether the server is a node of a cluster.
        timeout: seconds to wait for a server's answer to a read.
    """

    project: str
    path: Path | None
    url: str | None = field(repr=False)
    cluster: bool
    timeout: float

    def open(self) -> Backend:
        """The backend, one for each place and process."""
        return _open(self)


@lru_cache
def _open(place: Place) -> Backend:
    if place.url is not None:
        from features.stores.packed.redis import RedisBackend

        return RedisBackend(place.url, cluster=place.cluster, project=place.project, timeout=place.timeout)
    from features.stores.packed.sqlite import SqliteBackend

    return SqliteBackend(Path(place.path or ""), place.project)
