"""Chaos: the injector, and the process that commands are forked from.

GATEHOUSE_CHAOS_SEED seeds every instant, GATEHOUSE_CHAOS_INJECTIONS says how often each fault is injected (by
default as often as takes seconds), GATEHOUSE_CHAOS_REPORT names a folder for the tallies.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.commands import Nursery
from tests.chaos.faults import Chaos
from tests.chaos.publishing import Publication, publish_once
from tests.chaos.retraining import Retraining, retrain

HERE = Path(__file__).parent
_SECONDS = 6 * 3600 if "GATEHOUSE_CHAOS_INJECTIONS" in os.environ else 1800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is chaos."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.chaos)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.fixture
def chaos() -> Chaos:
    """Injects faults; what becomes of them is tallied."""
    wanted, report = (os.environ.get(f"GATEHOUSE_CHAOS_{name}") for name in ("INJECTIONS", "REPORT"))
    return Chaos(
        seed=int(os.environ.get("GATEHOUSE_CHAOS_SEED", "7")),
        wanted=None if wanted is None else int(wanted),
        report=None if report is None else Path(report),
    )


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts commands quickly."""
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def session(spark: Any) -> dict[str, str]:
    """Environment that has a command of the nursery use the tests' own Spark session, which is warm."""
    gateway = spark.sparkContext._gateway.gateway_parameters
    return {"PYSPARK_GATEWAY_PORT": str(gateway.port), "PYSPARK_GATEWAY_SECRET": gateway.auth_token}


@pytest.fixture(scope="session")
def retraining(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Retraining:
    """A home whose model is to be trained again. Copy it before changing it."""
    return retrain(nursery, tmp_path_factory.mktemp("retraining"))


@pytest.fixture(scope="session")
def publication(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Publication:
    """A home from which a second model is to be published. Copy it before changing it."""
    return publish_once(nursery, tmp_path_factory.mktemp("publication"))
