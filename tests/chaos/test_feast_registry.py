"""Feast's registry is cut off or locked: nothing is read from half of it, and nothing written over it."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from feast.protos.feast.core.Registry_pb2 import Registry

from features.files import sole_owner
from features.store import open_store
from features.stores.errors import StoreError
from pipelines.days import Days
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.chaos.faults import FEW, Chaos, Fault
from tests.chaos.states import Answers
from tests.chaos.test_online_store import moment
from tests.features.hand_made_lake import settings_of, write_lake

DS = date(2026, 1, 5)
KEYS = {"scenario": "scenario-1", "user": "user-1", "items": ["item-0", "item-1", "item-2"]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home that serves a day."""
    settings = settings_of(tmp_path / "home", "simulated")
    write_lake(settings.lake, settings.catalog, Days.one(DS), ids=3)
    materialize(settings, DS)
    return settings


def test_nothing_starts_or_writes_when_the_registry_is_cut_off(chaos: Chaos, settings: Settings) -> None:
    registry = settings.home / "feast" / "registry.db"
    whole, before = registry.read_bytes(), Answers(settings, KEYS).now()
    # A file that ends where Feast's history of views begins is whole but for that, and nothing here reads it.
    history = Registry.FromString(whole)
    history.ClearField("feature_view_version_history")
    lengths = [length for length in range(len(whole)) if length != len(history.SerializeToString())]

    def cut(numbers: random.Random) -> None:
        os.truncate(registry, numbers.choice([0, numbers.choice(lengths)]))
        left = registry.read_bytes()
        with pytest.raises(StoreError, match="gatehouse materialize"):
            open_store(settings.home)
        with pytest.raises(StoreError, match="gatehouse materialize"):
            materialize(settings, DS)
        assert registry.read_bytes() == left, "it was written to"
        registry.unlink()
        materialize(settings, DS)
        assert Answers(settings, KEYS).now() == before

    promise = (
        "nothing starts and nothing is written over it; once it is removed, one materialize makes it anew"
    )
    chaos.inject(Fault("Feast's registry is cut off", promise), cut, quick=3, at_most=FEW)


def test_registering_waits_when_the_registry_is_locked(chaos: Chaos, settings: Settings) -> None:
    before = Answers(settings, KEYS).now()

    def lock(numbers: random.Random) -> None:
        with ThreadPoolExecutor(1) as pool:
            with sole_owner(settings.home / "feast" / ".apply.lock"):
                waiting = pool.submit(materialize, settings, DS)
                moment(numbers, most=0.5)
                assert Answers(settings, KEYS).now() == before, "readers wait for nobody"
                assert not waiting.done()
            waiting.result()
        assert Answers(settings, KEYS).now() == before

    fault = Fault("Feast's registry is locked", "readers go on; materialize waits, and ends well")
    chaos.inject(fault, lock, at_most=FEW)
