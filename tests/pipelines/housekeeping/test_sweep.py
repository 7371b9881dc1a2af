"""Housekeeping as a whole: what it says, what it asks, and that it may be killed at any instant."""

from __future__ import annotations

import shutil
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from features.serving.served import Served, write_receipt
from pipelines.errors import SettingsError
from pipelines.housekeeping.needs import InUse
from pipelines.housekeeping.plan import removals
from pipelines.housekeeping.sweep import find_in_use, housekeeping, take
from pipelines.lake import Lake
from pipelines.publish import publish
from pipelines.settings import Settings
from tests.pipelines.housekeeping.lakes import LAST, contents, day, make, retained, tables
from tests.pipelines.published_models import write_model, write_verdict

TODAY = date(2026, 4, 1)
SPLIT = {"train": 2, "validation": 1, "test": 1}
CHANGES = ("os.remove", "os.rename", "os.rmdir")


class Killed(BaseException):
    """Stands for a SIGKILL: nothing catches it."""


class _Fuse:
    """Ends the process' work before its n-th change of the file system. An audit hook stays for good."""

    left: int | None = None

    def __call__(self, event: str, _: Any) -> None:
        if self.left is not None and event in CHANGES:
            if self.left == 0:
                raise Killed
            self.left -= 1


_FUSE = _Fuse()
sys.addaudithook(_FUSE)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Two old days and a new one."""
    return make(tmp_path / "home", [LAST, day(90), day(91)], retained(30, tiles=40, events=40), SPLIT)


def test_killed_at_any_instant_partitions_are_whole_or_gone_and_the_next_run_ends_it(
    home: Settings, tmp_path: Path
) -> None:
    keep = shutil.copytree(home.home, tmp_path / "keep")
    take(home, removals(home, InUse(), TODAY))
    expected = contents(home.home)
    kills = 0
    while True:
        shutil.rmtree(home.home)
        shutil.copytree(keep, home.home)
        going = removals(home, InUse(), TODAY)
        _FUSE.left = kills
        try:
            take(home, going)
        except Killed:
            pass
        else:
            break
        finally:
            _FUSE.left = None
        lake = Lake(home.lake)
        for table in tables(home):
            for ds in lake.days(table):
                files = lake.manifest(table, ds).files
                assert all((lake.folder(table, ds) / file.name).is_file() for file in files)
        take(home, removals(home, InUse(), TODAY))
        assert contents(home.home) == expected
        kills += 13  # every instant would take long; so the kills fall on every step of a partition
    assert kills > 100


def test_dry_run_names_kinds_days_and_bytes_and_removes_nothing(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(home.home)
    housekeeping(home, dry_run=True)
    said = capsys.readouterr().out
    of_the_run = ("runs/metrics/", "runs/simulated/lineage/", "runs/simulated/housekeeping.json")
    assert {name for name in contents(home.home) if not name.startswith(of_the_run)} == before
    assert "would be removed" in said
    row = next(line for line in said.splitlines() if "quarantine" in line)
    assert [f"ds={day(91)}" in row, f"ds={day(90)}" in row, " 2 " in row] == [True] * 3


def test_retention_that_is_too_short_removes_nothing(tmp_path: Path) -> None:
    own = make(tmp_path / "home", [LAST, day(90)], retained(30, events=40), SPLIT)
    before = contents(own.home)
    with pytest.raises(SettingsError, match=r"retention\.tiles keeps 30 days, 37 are needed"):
        housekeeping(own)
    assert contents(own.home) == before


def test_what_is_served_published_and_newest_is_in_use(home: Settings) -> None:
    (home.home / "feast").mkdir()
    write_receipt(home.home / "feast", Served(dataset="simulated", ds=day(2), views={}))
    write_model(home, "weights", day(90))
    write_verdict(home, day(90))
    publish(home, day(90))
    in_use = find_in_use(home)
    assert in_use.served == day(2)
    assert set(in_use.runs) == {LAST, day(90)}


@pytest.mark.slow
def test_dvc_keeps_commits_and_the_workspace_and_lets_the_rest_go(home: Settings) -> None:
    from dvc.repo import Repo

    from pipelines.children import git

    git("init", "--quiet", cwd=home.home)
    with Repo.init(str(home.home)) as repo:
        for name in ("committed", "forgotten", "here"):
            (home.home / "data.txt").write_text(name)
            repo.add(str(home.home / "data.txt"))
            if name == "committed":
                git("add", "data.txt.dvc", ".dvc", ".gitignore", cwd=home.home)
                git("commit", "--quiet", "--message", name, cwd=home.home)
    housekeeping(home)
    cache = (home.home / ".dvc" / "cache").rglob("*")
    assert sorted(path.read_text() for path in cache if path.is_file()) == ["committed", "here"]
