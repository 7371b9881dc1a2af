"""Materialize is killed while lookups go on: every answer is of one snapshot, and the next run mends all."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from pipelines.days import DAY, Days
from pipelines.settings import Settings
from tests.chaos.commands import Nursery, Steps, drawn, killed
from tests.chaos.faults import Chaos, Fault
from tests.chaos.states import Answers
from tests.features.hand_made_lake import settings_of, write_lake
from tests.features.stores.stores import on_redis
from tests.valkeys import valkey

PROMISE = (
    "every lookup is answered, wholly of the old snapshot or wholly of the new; a rerun serves the new one"
)
SQLITE = Fault("materialize is killed, store in SQLite", PROMISE)
VALKEY = Fault("materialize is killed, store in Valkey", PROMISE)
OLD = date(2026, 1, 5)
NEW = OLD + DAY
KEYS = {
    "scenario": "scenario-1",
    "user": "user-1",
    "items": [f"item-{number}" for number in range(12)],
}


@dataclass(frozen=True)
class Serving:
    """A home whose online store serves a day, and the way to its store.

    Attributes:
        settings: of the home.
        store: Feast's settings file; None for the committed one.
        server: URL of the Valkey server, where there is one.
    """

    settings: Settings
    store: Path | None = None
    server: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {} if self.store is None else {"FEAST_FS_YAML_FILE_PATH": str(self.store)}

    @property
    def steps(self) -> Steps:
        """What is sent to a server; for a file, every change of the files of the store and its notes."""
        return Steps(self.settings.home, sends=self.server is not None)

    def arguments(self, ds: date) -> tuple[str, ...]:
        return ("materialize", "--ds", str(ds))

    def answers(self) -> Answers:
        return Answers(self.settings, KEYS, self.store)


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hand-made, validated snapshots of two days; nothing is served."""
    settings = settings_of(tmp_path_factory.mktemp("lake") / "home", "simulated")
    write_lake(settings.lake, settings.catalog, Days(start=OLD, end=NEW), ids=12)
    return settings.home


@pytest.fixture(params=[SQLITE, pytest.param(VALKEY, marks=pytest.mark.redis)], ids=["sqlite", "valkey"])
def serving(
    request: pytest.FixtureRequest, lake_home: Path, tmp_path: Path
) -> Iterator[tuple[Fault, Serving]]:
    """The fault, and a home of its own for it."""
    home = Path(shutil.copytree(lake_home, tmp_path / "home"))
    with ExitStack() as stack:
        if request.param is SQLITE:
            yield SQLITE, Serving(Settings(home=home))
        else:
            url = stack.enter_context(valkey())
            yield VALKEY, Serving(Settings(home=home), on_redis(tmp_path / "feature_store.yaml", url), url)


def serve(nursery: Nursery, home: Serving, ds: date) -> tuple[date, str]:
    """Materialize in peace; what lookups then answer."""
    command = nursery.start(home.settings.home, *home.arguments(ds), environment=home.environment)
    assert command.wait() == 0, command.said
    return home.answers().now()


def test_lookups_see_one_snapshot_and_a_rerun_serves_the_other_when_materialize_is_killed(
    chaos: Chaos, nursery: Nursery, serving: tuple[Fault, Serving]
) -> None:
    fault, home = serving
    known = {OLD: serve(nursery, home, OLD)}
    steps = nursery.count(
        home.settings.home, *home.arguments(NEW), steps=home.steps, environment=home.environment
    )
    known[NEW] = home.answers().now()
    assert known[OLD] != known[NEW]

    def kill(numbers: random.Random) -> None:
        answers, seen = home.answers(), set()
        served, _ = answers.now()
        wanted = NEW if served == OLD else OLD
        doomed = nursery.start_until(
            home.settings.home, *home.arguments(wanted),
            steps=home.steps, at=drawn(numbers, steps), environment=home.environment,
        )  # fmt: skip
        try:
            killed(doomed, meanwhile=lambda: seen.add(answers.now()))
        finally:
            assert seen <= set(known.values()), "a lookup saw a mixture"
        assert home.answers().now() in known.values(), "what is served after the kill is a mixture"
        assert serve(nursery, home, wanted) == known[wanted]
        assert answers.now() == known[wanted], "a reader that was there all the time sees another snapshot"

    chaos.inject(fault, kill)
