"""A home with the snapshots of two days, of which one is served."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.days import DAY, Days
from pipelines.settings import Settings
from tests.chaos.commands import Nursery, Steps
from tests.chaos.states import Answers
from tests.features.hand_made_lake import settings_of, write_lake

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


def serve(nursery: Nursery, home: Serving, ds: date) -> tuple[date, str]:
    """Materialize in peace; what lookups then answer."""
    command = nursery.start(home.settings.home, *home.arguments(ds), environment=home.environment)
    assert command.wait() == 0, command.said
    return home.answers().now()


@dataclass(frozen=True)
class Change:
    """A home that serves the old day from SQLite, and is to serve the new one.

    Attributes:
        home: to be copied.
        known: what lookups answer, before and after.
        steps: how many changes of files it takes.
    """

    home: Path
    known: tuple[tuple[date, str], tuple[date, str]]
    steps: int

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("materialize", "--ds", str(NEW))

    def copy(self, into: Path) -> Settings:
        return Settings(home=Path(shutil.copytree(self.home, into)))

    def environment_in(self, home: Path) -> Mapping[str, str]:
        return {}

    def counted(self, settings: Settings) -> Steps:
        return Serving(settings).steps

    def require_whole(self, settings: Settings) -> None:
        assert Serving(settings).answers().now() in self.known

    def require_new(self, settings: Settings) -> None:
        assert Serving(settings).answers().now() == self.known[1]


def write_two_days(home: Path) -> Settings:
    """Hand-made, validated snapshots of both days; nothing is served."""
    settings = settings_of(home, "simulated")
    write_lake(settings.lake, settings.catalog, Days(start=OLD, end=NEW), ids=12)
    return settings


def change_days(nursery: Nursery, folder: Path) -> Change:
    """Serve the old day, and in a copy the new one."""
    settings = write_two_days(folder / "home")
    old = serve(nursery, Serving(settings), OLD)
    after = Serving(Settings(home=Path(shutil.copytree(settings.home, folder / "after"))))
    steps = nursery.count(after.settings.home, *after.arguments(NEW), steps=after.steps)
    return Change(settings.home, (old, after.answers().now()), steps)
