"""A registry with a history, made once and copied by tests that change it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from pipelines.publish import publish
from pipelines.registry import Registry
from pipelines.settings import Settings
from tests.homes import TINY, make_home
from tests.pipelines.published_models import DS, write_passed


@pytest.fixture(scope="session")
def published_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three published versions of pepnet, a day apart; tests must not change it."""
    home = make_home(tmp_path_factory.mktemp("published") / "home", "simulated", datasets={"simulated": TINY})
    settings = Settings(home=home)
    for age, (weights, auc) in zip(
        (2, 1, 0), (("first", 0.71), ("second", 0.72), ("third", 0.7)), strict=True
    ):
        day = DS - timedelta(days=age)
        write_passed(settings, weights, day, auc=auc)
        publish(settings, day)
    return home


@pytest.fixture
def copied(published_home: Path, tmp_path: Path) -> Settings:
    """Settings of the test's own copy of `published_home`."""
    return Settings(home=shutil.copytree(published_home, tmp_path / "copied"))


@pytest.fixture
def bare(copied: Settings) -> Callable[..., str]:
    """Run git in the copied registry's bare repository: `bare("tag")`."""
    return partial(_git, Path(Registry.of(copied).url))


def _git(folder: Path, *arguments: str) -> str:
    from pipelines.children import git

    return git(*arguments, cwd=folder)
