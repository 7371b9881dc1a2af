"""What many tests need: a Spark session, a home folder with its params.yaml, a tiny data set's settings."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from features.quick_feast import quicken_feast
from pipelines.settings import Settings
from tests.homes import TINY, make_home

quicken_feast()  # as `gatehouse` does

os.environ["COLUMNS"] = "200"  # what tests read of tables is not cut, on whatever terminal they run
# The tests' JVMs have settings of their own, and none of the user's. They come as a file: with a folder of
# settings Java would not use the archive of Spark's classes.
os.environ.pop("SPARK_CONF_DIR", None)
os.environ["PYSPARK_SUBMIT_ARGS"] = shlex.join(
    ["--properties-file", str(Path(__file__).with_name("spark-defaults.conf")), "pyspark-shell"]
)

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis_settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("unhurried")

# A worker of pytest-xdist has a bare `__main__`, by which PySpark takes it for its own doctests and exits.
_main = sys.modules["__main__"]
if _main.__spec__ is None and not hasattr(_main, "__file__"):
    _main.__spec__ = ModuleSpec("__main__", None)


@pytest.fixture(autouse=True)
def _logs_stay_as_they_are() -> Iterator[None]:
    """Take back what a test's command has set: it logs to the standard error that the test had."""
    configuration, handlers = structlog.get_config(), logging.root.handlers[:]
    yield
    structlog.configure(**configuration)
    logging.root.handlers[:] = handlers


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One Spark session for the whole run; the stages under test find it by themselves."""
    from pipelines.spark.session import spark_session

    session = spark_session(Settings(home=tmp_path_factory.mktemp("spark"), spark_driver_memory="1g"))
    yield session
    session.stop()


@pytest.fixture
def home(tmp_path: Path) -> Callable[..., Path]:
    """Make the test's own home folder: `home("simulated", datasets={"simulated": {...}})`."""
    return partial(make_home, tmp_path / "home")


@pytest.fixture
def simulated_settings(home: Callable[..., Path]) -> Settings:
    """Settings of a simulated log of six days and 3,000 events, in an empty home of its own."""
    return Settings(home=home("simulated", datasets={"simulated": TINY}), raw=None)
