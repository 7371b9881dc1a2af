"""A road that was walked once, for the tests of its lineage and its metrics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import Settings
from tests.homes import make_home
from tests.pipelines.observed_road import DS, ROAD_PARAMS, walk


@pytest.fixture(scope="package")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a home whose road was walked; not to be changed."""
    home = make_home(tmp_path_factory.mktemp("walked") / "home", "simulated", **ROAD_PARAMS)
    settings = Settings(home=home, device="cpu")
    walk(settings)
    return settings


@pytest.fixture
def settings(walked: Settings, tmp_path: Path) -> Settings:
    """Settings of a copy to change."""
    shutil.copytree(walked.home, tmp_path / "home")
    return Settings(home=tmp_path / "home", device="cpu")


def events_of(settings: Settings) -> list[dict[str, Any]]:
    """All events of the road, as they were written."""
    path = settings.runs / "lineage" / f"ds={DS}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]
