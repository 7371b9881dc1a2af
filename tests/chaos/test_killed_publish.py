"""Publish is killed at any change of the registry: there is no new version, or a whole one."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from tests.chaos.commands import Nursery, drawn, killed
from tests.chaos.faults import Chaos, Fault
from tests.chaos.publishing import MODEL, Publication, places
from tests.chaos.states import newest_version

KILLED = Fault(
    "publish is killed",
    "the newest version is the old or the new one, and can be pulled whole; a rerun ends with one new one",
)


def test_registry_has_no_new_version_or_a_whole_one_when_publish_is_killed(
    chaos: Chaos, nursery: Nursery, publication: Publication, tmp_path: Path
) -> None:
    def kill(numbers: random.Random) -> None:
        settings = publication.copy(tmp_path / "home")
        home, environment = settings.home, publication.environment_in(settings.home)

        def look() -> None:
            assert newest_version(settings, MODEL).digest in publication.digests

        try:
            place = numbers.choice(sorted(publication.steps_at))
            at = drawn(numbers, publication.steps_at[place])
            doomed = nursery.start_until(
                home, "publish", steps=places(home)[place], at=at, environment=environment
            )
            killed(doomed, meanwhile=look)
            publication.require_whole(settings)
            again = nursery.start(home, "publish", environment=environment)
            assert again.wait() == 0, again.said
            publication.require_new(settings)
        finally:
            shutil.rmtree(home)

    chaos.inject(KILLED, kill)
