"""A home whose registry has a version, and another model that may be published."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.model_files import verified_digest
from pipelines.registry import pull
from pipelines.settings import Settings
from tests.chaos.commands import Nursery, Steps
from tests.chaos.states import newest_version, trained_digest
from tests.homes import TINY, make_home
from tests.pipelines.published_models import DS, write_passed

MODEL = "pepnet"


@dataclass(frozen=True)
class Publication:
    """A home whose registry has a version, and another model that may be published.

    Attributes:
        home: to be copied.
        digests: of the model that is published, and of the one that is to be.
        steps_at: how many changes of files publishing takes, by where: in the registry, or anywhere.
    """

    home: Path
    digests: tuple[str, str]
    steps_at: Mapping[str, int]

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("publish",)

    @property
    def steps(self) -> int:
        return self.steps_at["anywhere"]

    def copy(self, into: Path) -> Settings:
        return Settings(home=Path(shutil.copytree(self.home, into)), raw=None)

    def environment_in(self, home: Path) -> Mapping[str, str]:
        """No git configuration of the user's, and clones below the home."""
        scratch = home / "scratch"
        scratch.mkdir(exist_ok=True)
        return {"HOME": str(home), "TMPDIR": str(scratch), "GIT_CONFIG_NOSYSTEM": "1"}

    def counted(self, settings: Settings) -> Steps:
        return places(settings.home)["anywhere"]

    def require_whole(self, settings: Settings) -> None:
        assert _pulled(settings) in self.digests

    def require_new(self, settings: Settings) -> None:
        assert _pulled(settings) == self.digests[1]
        assert newest_version(settings, MODEL).number == 2


def places(home: Path) -> dict[str, Steps]:
    return {"registry": Steps(home / "registry"), "anywhere": Steps(home)}


def publish_once(nursery: Nursery, folder: Path) -> Publication:
    """Publish a model, and write another one."""
    settings = Settings(home=make_home(folder / "home", "simulated", datasets={"simulated": TINY}), raw=None)
    found = Publication(settings.home, ("", ""), {})
    digests = []
    for content in ("old weights", "new weights"):
        write_passed(settings, content)
        digests.append(verified_digest(settings.models / MODEL / f"ds={DS}"))
        if len(digests) == 1:
            command = nursery.start(settings.home, "publish", environment=found.environment_in(settings.home))
            assert command.wait() == 0, command.said
    steps = {}
    for place in places(settings.home):
        home = found.copy(folder / place).home
        steps[place] = nursery.count(
            home, "publish", steps=places(home)[place], environment=found.environment_in(home)
        )
        shutil.rmtree(home)
    return Publication(settings.home, (digests[0], digests[1]), steps)


def _pulled(settings: Settings) -> str:
    """The digest of the newest version, all files of which have been fetched and found to be whole."""
    return trained_digest(pull(settings, MODEL, settings.home.parent / "pulled"))
