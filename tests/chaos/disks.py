"""Disks that are full or may not be written: what a command must say then, and leave."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from pipelines.settings import Settings
from tests.chaos.commands import Command, Nursery, Steps, drawn
from tests.chaos.faults import Fault, NotInjectedError
from tests.chaos.states import files_of

FULL = "a clear error, and nothing half written; once there is room, a rerun leaves the same bytes"
READ_ONLY = "a clear error, and no file is changed"
# Of the kernel, of SQLite, and of git, which says no more of a registry whose disk is full.
_NO_ROOM = ("No space left on device", "disk is full", "unable to create temporary object directory")
_PAGE = 4096


class Rewrite(Protocol):
    """A home in which a command has something to write over what is there.

    Attributes:
        arguments: of the command.
        steps: how many changes of files it makes, of those that `counted` counts.
    """

    @property
    def arguments(self) -> tuple[str, ...]: ...

    @property
    def steps(self) -> int: ...

    def copy(self, into: Path) -> Settings:
        """A home of the test's own."""

    def environment_in(self, home: Path) -> Mapping[str, str]:
        """What the command needs to know."""

    def counted(self, settings: Settings) -> Steps:
        """Which changes of files are steps."""

    def require_whole(self, settings: Settings) -> None:
        """Insist that what is there is what was there, or what is to be, and nothing between."""

    def require_new(self, settings: Settings) -> None:
        """Insist that all is as a run leaves it that nobody disturbed."""


def full(what: str) -> Fault:
    return Fault(f"{what} finds the disk full", FULL)


def unwritable(what: str) -> Fault:
    return Fault(f"{what} may not write its home", READ_ONLY)


def fill(
    nursery: Nursery,
    rewrite: Rewrite,
    folder: Path,
    numbers: random.Random,
    starved: Callable[[Nursery, Rewrite, Settings, random.Random], Command] | None = None,
) -> None:
    """Run a command on a disk that becomes full, then again once there is room.

    Args:
        nursery: starts it.
        rewrite: what is written.
        folder: for the home; removed.
        numbers: what is drawn from.
        starved: runs the command until it has ended; by default there is no room from some step on.

    Raises:
        NotInjectedError: it had all the room that it needed.
    """
    settings = rewrite.copy(folder)
    try:
        command = (starved or _from_a_step)(nursery, rewrite, settings, numbers)
        require_clear(command.said, *_NO_ROOM)
        rewrite.require_whole(settings)
        again = _start(nursery, rewrite, settings)
        assert again.wait() == 0, again.said
        rewrite.require_new(settings)
    finally:
        shutil.rmtree(settings.home)


def refuse(nursery: Nursery, rewrite: Rewrite, folder: Path) -> None:
    """Run a command in a home that nobody may write; `folder` is where the home is, and is removed."""
    settings = rewrite.copy(folder)
    try:
        before = files_of(settings.home, ["."])
        with read_only(settings.home):
            refused = _start(nursery, rewrite, settings)
            assert refused.wait() != 0, refused.said
        require_clear(refused.said, "Read-only file system", "Permission denied", "readonly database")
        assert files_of(settings.home, ["."]) == before
    finally:
        shutil.rmtree(settings.home)


def on_a_small_disk(most: int) -> Callable[[Nursery, Rewrite, Settings, random.Random], Command]:
    """For `fill`: a file system of its own has so many bytes of room left at most, for Spark's JVM too.

    The home must lie on one that `small_disk` has mounted.
    """

    def starved(nursery: Nursery, rewrite: Rewrite, settings: Settings, numbers: random.Random) -> Command:
        disk = settings.home.parent
        _resize(disk, shutil.disk_usage(disk).used + numbers.randrange(most) // _PAGE * _PAGE)
        try:
            command = _start(nursery, rewrite, settings)
            if command.wait() == 0:
                raise NotInjectedError
        finally:
            _resize(disk, None)
        return command

    return starved


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system in memory at `folder`, whose room can be bounded; only root can."""
    folder.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def _from_a_step(nursery: Nursery, rewrite: Rewrite, settings: Settings, numbers: random.Random) -> Command:
    command = nursery.start_until(
        settings.home, *rewrite.arguments,
        steps=rewrite.counted(settings), at=drawn(numbers, rewrite.steps), action="full",
        environment=rewrite.environment_in(settings.home),
    )  # fmt: skip
    if command.wait() == 0:
        raise NotInjectedError
    return command


def _start(nursery: Nursery, rewrite: Rewrite, settings: Settings) -> Command:
    return nursery.start(settings.home, *rewrite.arguments, environment=rewrite.environment_in(settings.home))


def _resize(disk: Path, size: int | None) -> None:
    """Bound what a file system in memory may hold, bytes; None takes the bound away."""
    subprocess.run(["mount", "-o", f"remount,size={size or '50%'}", disk], check=True)


def require_clear(said: str, *reasons: str) -> None:
    """Insist on an error in one line that names the reason, instead of a traceback."""
    assert "Traceback" not in said, said
    [error, *_] = [line for line in said.splitlines() if line.startswith("error: ")] or [said]
    assert any(reason in error for reason in reasons), said


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write below `folder`; for root, whom modes do not stop, by a mount."""
    if os.geteuid() == 0:
        mount("--bind", folder, folder)
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", folder], check=True)
        return
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def mount(*arguments: str | Path) -> None:
    """Mount something, or skip the test where that is not allowed."""
    mounted = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
