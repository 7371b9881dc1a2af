"""Ingest, aggregate and assemble are killed while their partitions are read, run twice, or find no room.

They share a Spark session that is warm: it lives in the JVM of the tests and outlives them, as executors of a
cluster outlive their driver.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.manifest import MANIFEST
from tests.chaos import disks
from tests.chaos.commands import Nursery, drawn, killed
from tests.chaos.faults import FEW, Chaos, Fault
from tests.chaos.roads import Correction, correct
from tests.chaos.states import partition_of

pytestmark = pytest.mark.spark

PROMISE = (
    "every partition is wholly the old or wholly the new one; run again, all files are equal to the byte"
)
STAGES = ("ingest", "aggregate", "assemble")
asked_for = pytest.mark.skipif(
    "GATEHOUSE_CHAOS_INJECTIONS" not in os.environ,
    reason="`make chaos` does; a full disk is tested at the stages' own steps",
)


@pytest.fixture(scope="module")
def corrections(
    session: dict[str, str], nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Correction]:
    return correct(nursery, tmp_path_factory.mktemp("road"), session)


class Reader:
    """Reads partitions, one after the other, and notes what it sees of each."""

    def __init__(self, lake: Path) -> None:
        self._folders = [path.parent for path in sorted(lake.rglob(MANIFEST))]
        self._lake = lake
        self._next = 0
        self.seen: dict[str, set[str]] = {}

    def __call__(self) -> None:
        folder = self._folders[self._next % len(self._folders)]
        self._next += 1
        if (state := partition_of(folder)) is not None:  # else it was swapped meanwhile, and is read again
            self.seen.setdefault(str(folder.relative_to(self._lake)), set()).add(state)


@pytest.mark.parametrize("stage", STAGES)
def test_partitions_stay_whole_and_a_rerun_gives_the_same_bytes_when_a_stage_is_killed(
    chaos: Chaos, nursery: Nursery, corrections: dict[str, Correction], spark: Any, tmp_path: Path, stage: str
) -> None:
    correction = corrections[stage]

    def kill(numbers: random.Random) -> None:
        settings = correction.copy(tmp_path / "home")
        try:
            reader = Reader(settings.lake)
            at = drawn(numbers, correction.steps)
            doomed = nursery.start_until(
                settings.home, *correction.arguments,
                steps=correction.counted(settings), at=at, environment=correction.environment,
            )  # fmt: skip
            killed(doomed, meanwhile=reader)
            leave_no_jobs(spark)
            require_seen(reader, correction)
            correction.require_whole(settings)
            again = nursery.start(settings.home, *correction.arguments, environment=correction.environment)
            assert again.wait() == 0, again.said
            correction.require_new(settings)
        finally:
            shutil.rmtree(settings.home)

    chaos.inject(Fault(f"{stage} is killed", PROMISE), kill)


@pytest.mark.parametrize("stage", STAGES)
def test_bytes_are_those_of_one_run_when_a_stage_runs_twice_at_once(
    chaos: Chaos, nursery: Nursery, corrections: dict[str, Correction], tmp_path: Path, stage: str
) -> None:
    correction = corrections[stage]

    def race(numbers: random.Random) -> None:
        settings = correction.copy(tmp_path / "home")
        try:
            both = [
                nursery.start(settings.home, *correction.arguments, environment=correction.environment)
                for _ in range(2)
            ]
            reader = Reader(settings.lake)
            for command in both:
                assert command.wait(meanwhile=reader) == 0, command.said
            require_seen(reader, correction)
            correction.require_new(settings)
        finally:
            shutil.rmtree(settings.home)

    fault = Fault(f"{stage} runs twice at once", "both end well; all files are equal to the byte")
    chaos.inject(fault, race, at_most=FEW)


@pytest.mark.parametrize("stage", STAGES)
def test_partitions_stay_whole_and_the_error_is_clear_when_the_disk_is_full(
    chaos: Chaos, nursery: Nursery, corrections: dict[str, Correction], spark: Any, tmp_path: Path, stage: str
) -> None:
    def fill(numbers: random.Random) -> None:
        disks.fill(nursery, corrections[stage], tmp_path / "home", numbers)
        leave_no_jobs(spark)

    chaos.inject(disks.full(stage), fill, at_most=FEW)


@asked_for
@pytest.mark.parametrize("stage", STAGES)
def test_partitions_stay_whole_and_the_error_is_clear_when_spark_finds_the_disk_full(
    chaos: Chaos, nursery: Nursery, corrections: dict[str, Correction], spark: Any, tmp_path: Path, stage: str
) -> None:
    correction = corrections[stage]

    def fill(numbers: random.Random) -> None:
        disks.fill(nursery, correction, disk / "home", numbers, disks.on_a_small_disk(correction.size))
        leave_no_jobs(spark)

    with disks.small_disk(tmp_path / "disk") as disk:
        chaos.inject(disks.full(f"Spark in {stage}"), fill, at_most=FEW)


@pytest.mark.parametrize("stage", STAGES)
def test_no_file_is_changed_and_the_error_is_clear_when_the_home_may_not_be_written(
    chaos: Chaos, nursery: Nursery, corrections: dict[str, Correction], tmp_path: Path, stage: str
) -> None:
    def refuse(numbers: random.Random) -> None:
        disks.refuse(nursery, corrections[stage], tmp_path / "home")

    chaos.inject(disks.unwritable(stage), refuse, at_most=1)


def require_seen(reader: Reader, correction: Correction) -> None:
    """Insist that nobody has read a partition that is neither the old nor the new one."""
    for partition, states in reader.seen.items():
        assert states <= {correction.old.get(partition), correction.new.get(partition)}, partition


def leave_no_jobs(spark: Any) -> None:
    """Stop what a killed driver has left running in the session that it shared."""
    spark.sparkContext.cancelAllJobs()
    spark.catalog.clearCache()
