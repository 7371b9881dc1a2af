"""The disk is full, or may not be written: a clear error, and old data intact.

The stages that need Spark are in test_spark_stages.py, whose session is warm.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos import disks
from tests.chaos.commands import Nursery
from tests.chaos.disks import Rewrite
from tests.chaos.faults import FEW, Chaos
from tests.chaos.serving import Change, change_days

STAGES = {"train": "retraining", "materialize": "change", "publish": "publication"}


@pytest.fixture(scope="module")
def change(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Change:
    return change_days(nursery, tmp_path_factory.mktemp("change"))


@pytest.fixture(params=STAGES)
def rewrite(request: pytest.FixtureRequest) -> tuple[str, Rewrite]:
    """A stage's name, and what it has to write."""
    return request.param, request.getfixturevalue(STAGES[request.param])


def test_what_was_there_stays_and_the_error_is_clear_when_the_disk_is_full(
    chaos: Chaos, nursery: Nursery, rewrite: tuple[str, Rewrite], tmp_path: Path
) -> None:
    stage, home = rewrite
    chaos.inject(
        disks.full(stage),
        lambda numbers: disks.fill(nursery, home, tmp_path / "home", numbers),
        at_most=FEW,
    )


def test_nothing_is_changed_and_the_error_is_clear_when_the_home_may_not_be_written(
    chaos: Chaos, nursery: Nursery, rewrite: tuple[str, Rewrite], tmp_path: Path
) -> None:
    stage, home = rewrite

    def refuse(numbers: random.Random) -> None:
        disks.refuse(nursery, home, tmp_path / "home")

    chaos.inject(disks.unwritable(stage), refuse, at_most=1)
