"""The registry's storage or its git repository goes away while publishing, or gives back other files.

Whenever it happens, there is no new version or a whole one, production can be pulled once all is back, and
publishing again ends with one version more.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.errors import PublishError
from pipelines.model_files import verified_digest
from pipelines.registry import Registry, in_production, pull, versions
from pipelines.settings import Settings
from tests.chaos.commands import Command, Nursery
from tests.chaos.faults import FEW, Chaos, Fault, NotInjectedError
from tests.chaos.states import trained_digest
from tests.homes import TINY, make_home
from tests.pipelines.published_models import DS, write_passed

MODEL = "pepnet"
PROMISE = "no new version, or a whole one; production stays or is whole; publish again, and there is one more"


@dataclass
class Publisher:
    """A home whose registry has a version, and the way to publish the next one.

    Attributes:
        nursery: starts commands.
        settings: of the home.
        number: of the newest version.
        looks: how often one can look whether publishing has ended until it has.
    """

    nursery: Nursery
    settings: Settings
    number: int = 0
    looks: int = 0

    @property
    def remote(self) -> Path:
        return Path(str(Registry.of(self.settings).remote))

    @property
    def repository(self) -> Path:
        return Path(Registry.of(self.settings).url)

    def start(self) -> Command:
        environment = {"HOME": str(self.settings.home), "GIT_CONFIG_NOSYSTEM": "1"}
        return self.nursery.start(self.settings.home, "publish", environment=environment)

    def another_model(self) -> str:
        """Train another model, as it were; its digest."""
        write_passed(self.settings, f"weights {random.random()}")
        return verified_digest(self.settings.models / MODEL / f"ds={DS}")

    def state(self) -> tuple[int, str]:
        """How many versions there are, and what is in production: a digest of what training wrote."""
        with Registry.of(self.settings).clone() as clone:
            standing = in_production(clone, MODEL)
            assert standing is not None
            return len(versions(clone, MODEL)), standing.digest

    def require_ended(self, command: Command, meanwhile: Callable[[], object] = lambda: None) -> int:
        """Its exit code; where it failed, it said why in one line."""
        status = command.wait(meanwhile)
        assert status == 0 or ("error: " in command.said and "Traceback" not in command.said), command.said
        return status

    def require_mended(self, new: str, into: Path) -> None:
        """Publishing again ends with one version more than before, in production, and it can be pulled."""
        assert self.start().wait() == 0
        self.number += 1
        assert self.state() == (self.number, new)
        assert trained_digest(pull(self.settings, f"{MODEL}@prod", into)) == new


@pytest.fixture(scope="module")
def publisher(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    home = make_home(tmp_path_factory.mktemp("storage") / "home", "simulated", datasets={"simulated": TINY})
    publisher = Publisher(nursery, Settings(home=home, raw=None))
    publisher.another_model()

    def look() -> None:
        publisher.looks += 1

    assert publisher.start().wait(meanwhile=look) == 0
    publisher.number = 1
    return publisher


@contextmanager
def away(path: Path) -> Iterator[None]:
    """Nobody can reach a folder: a file lies in its place."""
    aside = path.with_name(f"{path.name}.away")
    path.rename(aside)
    path.touch()
    try:
        yield
    finally:
        path.unlink()
        aside.rename(path)


@pytest.mark.parametrize("what", ["remote", "repository"])
def test_registry_is_whole_when_its_storage_goes_away_while_publishing(
    chaos: Chaos, publisher: Publisher, tmp_path: Path, what: str
) -> None:
    place = publisher.remote if what == "remote" else publisher.repository

    def take_away(numbers: random.Random) -> None:
        before, new = publisher.state(), publisher.another_model()
        command = publisher.start()
        for _ in range(numbers.randint(1, publisher.looks)):
            ended = publisher.nursery.status(command.pid)
            if ended is not None:
                assert ended == 0, command.said
                publisher.number += 1
                raise NotInjectedError
        with away(place):
            status = publisher.require_ended(command)
        after = publisher.state()
        assert after == (before if status else (before[0] + 1, new))
        shutil.rmtree(tmp_path / "pulled", ignore_errors=True)
        if status == 0:
            publisher.number += 1
            assert trained_digest(pull(publisher.settings, f"{MODEL}@prod", tmp_path / "pulled")) == new
        else:
            publisher.require_mended(new, tmp_path / "pulled")

    name = "DVC remote" if what == "remote" else "registry's git repository"
    chaos.inject(Fault(f"{name} goes away while publishing", PROMISE), take_away, at_most=FEW)


class Saboteur:
    """Alters every file of the remote that was not there before, as soon as it is there."""

    def __init__(self, remote: Path) -> None:
        self._remote = remote
        self._known = set(self._files())
        self.altered: dict[Path, bytes] = {}

    def _files(self) -> list[Path]:
        return [path for path in self._remote.rglob("*") if path.is_file() and ".tmp" not in path.name]

    def __call__(self) -> None:
        for path in set(self._files()) - self._known:
            content = path.read_bytes()
            if content and path not in self.altered:
                self.altered[path] = content
                path.chmod(0o644)
                path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    def repent(self) -> None:
        """Take the altered files away, so that they are uploaded again."""
        for path in self.altered:
            path.unlink()


def test_production_does_not_move_when_the_remote_gives_back_other_files(
    chaos: Chaos, publisher: Publisher, tmp_path: Path
) -> None:
    def alter(numbers: random.Random) -> None:
        before, new = publisher.state(), publisher.another_model()
        saboteur = Saboteur(publisher.remote)
        status = publisher.require_ended(publisher.start(), meanwhile=saboteur)
        assert saboteur.altered, "nothing was uploaded"
        assert status != 0, "a version was published whose files are not those that were trained"
        assert publisher.state() == before
        saboteur.repent()
        publisher.require_mended(new, tmp_path / "pulled")

    promise = (
        "nothing is published and production stays; once the remote is mended, publish again adds one version"
    )
    chaos.inject(Fault("DVC remote alters what it is given", promise), alter, at_most=FEW)


def test_pull_refuses_what_was_altered_after_publishing(
    chaos: Chaos, publisher: Publisher, tmp_path: Path
) -> None:
    def alter(numbers: random.Random) -> None:
        [number, digest] = publisher.state()
        pulled = pull(publisher.settings, f"{MODEL}@prod", tmp_path / "pulled")
        weights = (pulled / "model.safetensors").read_bytes()
        [path] = [
            path for path in publisher.remote.rglob("*") if path.is_file() and path.read_bytes() == weights
        ]
        place = numbers.randrange(len(weights))
        path.chmod(0o644)
        path.write_bytes(weights[:place] + bytes([weights[place] ^ 1]) + weights[place + 1 :])
        with pytest.raises(PublishError):
            pull(publisher.settings, f"{MODEL}@prod", tmp_path / "other")
        assert not (tmp_path / "other").exists()
        path.write_bytes(weights)
        assert trained_digest(pull(publisher.settings, f"{MODEL}@prod", tmp_path / "pulled")) == digest
        assert publisher.state() == (number, digest)

    promise = "pull refuses the version and leaves nothing behind"
    chaos.inject(Fault("a file in the DVC remote is altered", promise), alter, at_most=FEW)
