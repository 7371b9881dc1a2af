"""A tiny road whose log was corrected: what each stage finds, and what it leaves when nobody disturbs it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.settings import Settings
from tests.chaos.commands import Nursery, Steps
from tests.chaos.states import files_of, let_through, partitions_of, require_one_of
from tests.homes import make_home

DS = "2026-01-03"
LOG = {
    "days": {"start": "2026-01-01", "end": DS},
    "split": {"train": 1, "validation": 1, "test": 1},
    "simulation": {"users": 40, "items": 20, "scenarios": 2, "events_per_day": 200, "seed": 7},
}
# What a stage writes, and what its gate stands before.
WRITTEN = {
    "ingest": ("events", "users", "items", "quarantine", "truth", "counts"),
    "aggregate": ("tiles", "features"),
    "assemble": ("training_sets", "encoded", "baselines"),
}


@dataclass(frozen=True)
class Correction:
    """One stage's part in the correction of a day.

    Attributes:
        stage: its command.
        home: what the stage reads is of the corrected log, what it writes of the log before.
        old, new: partitions before and after it.
        files: all files that it leaves, when nobody disturbs it.
        steps: how many changes of files it makes that are not in the staging folder.
        size: of the files that it leaves anew, bytes; it needs more room than that.
        environment: of the command.
    """

    stage: str
    home: Path
    old: Mapping[str, str]
    new: Mapping[str, str]
    files: Mapping[str, str]
    steps: int
    size: int
    environment: Mapping[str, str]

    @property
    def arguments(self) -> tuple[str, ...]:
        return (self.stage, "--ds", DS)

    def copy(self, into: Path) -> Settings:
        return Settings(home=Path(shutil.copytree(self.home, into, symlinks=True)))

    def environment_in(self, home: Path) -> Mapping[str, str]:
        return self.environment

    def counted(self, settings: Settings) -> Steps:
        return in_the_lake(settings)

    def require_whole(self, settings: Settings) -> None:
        require_one_of(partitions_of(settings.lake), self.old, self.new)

    def require_new(self, settings: Settings) -> None:
        assert self.written(settings) == self.files

    def written(self, settings: Settings) -> dict[str, str]:
        """Every file that the stage has written."""
        return files_of(settings.lake, WRITTEN[self.stage])


def in_the_lake(settings: Settings) -> Steps:
    """Changes of the lake; what happens to staged files happens to nobody's files."""
    return Steps(settings.lake, without="/_staging/")


def correct(nursery: Nursery, folder: Path, environment: Mapping[str, str]) -> dict[str, Correction]:
    """Walk the road, correct the log, and walk it again, with a copy of the home before every stage."""
    home = make_home(
        folder / "home",
        "simulated",
        datasets={"simulated": LOG},
    )
    settings = Settings(home=home)
    for command in WRITTEN:
        _run(nursery, home, environment, command)
        let_through(settings, "events", "features", "training_sets")
    _reseed(home, 8)
    corrections = {}
    for stage in WRITTEN:
        before = Path(shutil.copytree(home, folder / f"before-{stage}"))
        old, there = partitions_of(settings.lake), files_of(settings.lake, WRITTEN[stage])
        steps = nursery.count(
            home, stage, "--ds", DS, steps=in_the_lake(settings), environment=environment
        )  # fmt: skip
        new, files = partitions_of(settings.lake), files_of(settings.lake, WRITTEN[stage])
        size = sum((settings.lake / name).stat().st_size for name in dict(files.items() - there.items()))
        corrections[stage] = Correction(stage, before, old, new, files, steps, size, environment)
        let_through(settings, "events", "features", "training_sets")
    return corrections


def _run(nursery: Nursery, home: Path, environment: Mapping[str, str], *arguments: str) -> None:
    command = nursery.start(home, *arguments, environment=environment)
    status = command.wait()
    assert status == 0, command.said


def _reseed(home: Path, seed: int) -> None:
    """Make another log."""
    path = home / "params.yaml"
    params: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["datasets"]["simulated"]["simulation"]["seed"] = seed
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
