"""A stage that is killed in the middle and run again gives the same bytes as one left in peace."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import LAST_GOOD, Road

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark]


def kill_once(process: subprocess.Popen[str], begun: Callable[[], bool]) -> None:
    """SIGKILL the process group as soon as `begun`; fail when the command ends before that."""
    while not begun():
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the command ended before it could be killed: {process.communicate()}")
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_killed_aggregate_ends_as_if_undisturbed(road: Road) -> None:
    lake = road.settings.lake
    undisturbed = {table: files_of(lake / table) for table in ("tiles", "features")}
    for table in undisturbed:
        remove(lake / table)
    kill_once(road.start("aggregate"), lambda: any((lake / "tiles").rglob("_manifest.json")))
    assert {table: files_of(lake / table) for table in undisturbed} != undisturbed
    road.run("aggregate")
    assert {table: files_of(lake / table) for table in undisturbed} == undisturbed


def test_killed_training_ends_as_if_undisturbed(road: Road) -> None:
    road.run("assemble")
    road.run("validate", "training")
    model = road.settings.models / "pepnet" / f"ds={LAST_GOOD}"
    road.run("train", "pepnet")
    undisturbed = files_of(model)
    remove(model)
    checkpoints = road.settings.runs / "checkpoints"
    remove(checkpoints)
    kill_once(road.start("train", "pepnet"), lambda: any(path.is_file() for path in checkpoints.rglob("*")))
    assert not model.exists() or not files_of(model)
    road.run("train", "pepnet")
    assert files_of(model) == undisturbed
