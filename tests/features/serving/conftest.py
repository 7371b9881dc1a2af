"""What the tests of serving share: a home whose online store serves three hand-made days."""

from __future__ import annotations

from datetime import date

import pytest
from feast import FeatureStore

from features.store import open_store
from pipelines.days import Days
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.features.hand_made_lake import settings_of, write_lake
from tests.pipelines.servable import servable

DAYS = Days(start=date(2022, 5, 6), end=date(2022, 5, 8))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the home; tests must not change what it serves."""
    settings = settings_of(tmp_path_factory.mktemp("served"), "kuairand-pure")
    write_lake(settings.lake, settings.catalog, DAYS, ids=3)
    materialize(settings, DAYS.end)
    return settings


@pytest.fixture(scope="session")
def store(served: Settings) -> FeatureStore:
    return open_store(served.home)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a model of random weights, and snapshots of the users and items it may be asked for."""
    return servable(tmp_path_factory.mktemp("trained"))
