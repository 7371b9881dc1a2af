"""Publish is killed at any change of the registry: there is no new version, or a whole one."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.model_files import verified_digest
from pipelines.registry import pull
from pipelines.settings import Settings
from tests.chaos.commands import Nursery, Steps, drawn, killed
from tests.chaos.faults import Chaos, Fault
from tests.chaos.states import newest_version, trained_digest
from tests.homes import TINY, make_home
from tests.pipelines.published_models import DS, write_model, write_verdict

KILLED = Fault(
    "publish is killed",
    "the newest version is the old or the new one, and can be pulled whole; a rerun ends with one new one",
)
MODEL = "pepnet"


@dataclass(frozen=True)
class Publication:
    """A home whose registry has a version, and another model that may be published.

    Attributes:
        home: to be copied.
        environment: of the command: no git configuration of the user's, and clones below the home.
        steps: how many changes of files publishing takes, by where: in the registry, or anywhere.
    """

    home: Path
    environment: dict[str, str]
    steps: dict[str, int]


def environment_of(home: Path) -> dict[str, str]:
    scratch = home / "scratch"
    scratch.mkdir(exist_ok=True)
    return {"HOME": str(home), "TMPDIR": str(scratch), "GIT_CONFIG_NOSYSTEM": "1"}


def places(home: Path) -> dict[str, Steps]:
    return {"registry": Steps(home / "registry"), "anywhere": Steps(home)}


@pytest.fixture(scope="module")
def publication(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Publication:
    folder = tmp_path_factory.mktemp("publication")
    settings = Settings(home=make_home(folder / "home", "simulated", datasets={"simulated": TINY}), raw=None)
    write_model(settings, "old weights")
    write_verdict(settings)
    environment = environment_of(settings.home)
    command = nursery.start(settings.home, "publish", environment=environment)
    assert command.wait() == 0, command.said
    write_model(settings, "new weights")
    write_verdict(settings)
    steps = {}
    for place in places(settings.home):
        home = Path(shutil.copytree(settings.home, folder / place))
        steps[place] = nursery.count(
            home, "publish", steps=places(home)[place], environment=environment_of(home)
        )
        shutil.rmtree(home)
    return Publication(settings.home, environment, steps)


def test_registry_has_no_new_version_or_a_whole_one_when_publish_is_killed(
    chaos: Chaos, nursery: Nursery, publication: Publication, tmp_path: Path
) -> None:
    def kill(numbers: random.Random) -> None:
        home = Path(shutil.copytree(publication.home, tmp_path / "home"))
        settings = Settings(home=home, raw=None)
        new = verified_digest(settings.models / MODEL / f"ds={DS}")
        old = newest_version(settings, MODEL).digest
        try:
            place = numbers.choice(sorted(publication.steps))
            at = drawn(numbers, publication.steps[place])
            doomed = nursery.start_until(
                home, "publish", steps=places(home)[place], at=at, environment=environment_of(home)
            )
            killed(doomed, meanwhile=lambda: require(newest_version(settings, MODEL).digest in (old, new)))
            found = pull(settings, MODEL, tmp_path / "pulled")
            require(trained_digest(found) in (old, new))
            again = nursery.start(home, "publish", environment=environment_of(home))
            assert again.wait() == 0, again.said
            require(trained_digest(pull(settings, MODEL, tmp_path / "pulled")) == new)
            require(newest_version(settings, MODEL).number == 2)
        finally:
            shutil.rmtree(home)

    chaos.inject(KILLED, kill)


def require(held: bool) -> None:
    assert held
