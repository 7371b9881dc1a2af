"""Two whole retrains of a day at once, as when a run is cleared that still goes on: one new version."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.model_files import verified_digest
from pipelines.registry import Registry, versions
from pipelines.settings import Settings
from tests.chaos.commands import Command, Nursery
from tests.chaos.faults import FEW, Chaos, Fault
from tests.chaos.retraining import MODEL, model_of, one_model, reseed
from tests.chaos.states import files_of, newest_version
from tests.homes import make_home
from tests.pipelines.assembled import assembled

RETRAINS = Fault(
    "two whole retrains at once",
    "one new version, of the weights of one alone; who gives way says so in one line",
)
STAGES = (("train", MODEL), ("evaluate",), ("promote",), ("publish",))


@dataclass
class Retrain:
    """Stages that are run one after the other, as tasks of a DAG are; the first that fails is the last.

    Attributes:
        nursery: starts them.
        home: of the run.
        ended: exit codes of those that have ended.
        said: by the last of them.
    """

    nursery: Nursery
    home: Path
    ended: list[int] = field(default_factory=list)
    said: str = ""
    _running: Command | None = None

    @property
    def is_over(self) -> bool:
        return len(self.ended) == len(STAGES) or any(self.ended)

    def go_on(self) -> None:
        """Start the next stage, if the one before has ended well; a failure must say why in one line."""
        if self._running is None:
            self._running = self.nursery.start(
                self.home, *STAGES[len(self.ended)], environment=environment_in(self.home)
            )
        status = self.nursery.status(self._running.pid)
        if status is None:
            return
        self.said = self._running.said
        assert status == 0 or ("error: " in self.said and "Traceback" not in self.said), self.said
        self.ended.append(status)
        self._running = None

    def run(self) -> float:
        """Run all stages; seconds that it took."""
        begun = time.monotonic()
        while not self.is_over:
            self.go_on()
        assert not any(self.ended), self.said
        return time.monotonic() - begun


def environment_in(home: Path) -> Mapping[str, str]:
    return {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GATEHOUSE_DEVICE": "cpu"}


@dataclass(frozen=True)
class Published:
    """A home whose model is published, and is to be trained again with another seed.

    Attributes:
        home: to be copied.
        files: of the model, as one retrain alone leaves it.
        seconds: that this took.
    """

    home: Path
    files: Mapping[str, str]
    seconds: float


@pytest.fixture(scope="module")
def published(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("published")
    home = folder / "home"
    assembled(lambda *a, **k: make_home(home, *a, **one_model(k)))
    Retrain(nursery, home).run()
    reseed(home, 8)
    alone = Path(shutil.copytree(home, folder / "alone"))
    seconds = Retrain(nursery, alone).run()
    assert numbers_of(alone) == [1, 2]
    return Published(home, files_of(alone, ["models"]), seconds)


def numbers_of(home: Path) -> list[int]:
    """Of the versions that are published, ascending."""
    with Registry.of(Settings(home=home)).clone() as clone:
        return sorted(version.number for version in versions(clone, MODEL))


@pytest.mark.skipif(
    "GATEHOUSE_CHAOS_INJECTIONS" not in os.environ,
    reason="`make chaos` does; two trainings and two publishers at once are tested",
)
def test_one_version_comes_of_two_retrains_at_once(
    chaos: Chaos, nursery: Nursery, published: Published, tmp_path: Path
) -> None:
    def race(numbers: random.Random) -> None:
        home = Path(shutil.copytree(published.home, tmp_path / "home"))
        try:
            one, other = Retrain(nursery, home), Retrain(nursery, home)
            second = time.monotonic() + numbers.uniform(0, published.seconds)
            while not (one.is_over and other.is_over):
                if not one.is_over:
                    one.go_on()
                if not other.is_over and time.monotonic() >= second:
                    other.go_on()
            assert [0] * len(STAGES) in (one.ended, other.ended), (one.ended, other.ended)
            assert numbers_of(home) == [1, 2]
            assert files_of(home, ["models"]) == published.files
            digest = verified_digest(model_of(Settings(home=home)))
            assert newest_version(Settings(home=home), MODEL).digest == digest
        finally:
            shutil.rmtree(home)

    chaos.inject(RETRAINS, race, at_most=FEW)
