"""An executor of a Spark cluster is killed in the middle of aggregate: the bytes are those of one machine.

tests/infra/test_spark_cluster.py kills a worker once, at the first manifest; here executors are killed at
instants that are drawn. It takes half a minute, so that it is done only where injections were asked for.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from infra.spark.cluster import Cluster, cluster
from tests.chaos.faults import FEW, Chaos, Fault, NotInjectedError
from tests.infra import test_spark_cluster as on_cluster
from tests.infra.test_spark_cluster import SEVERAL_TASKS, TABLES, Run

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(
        "GATEHOUSE_CHAOS_INJECTIONS" not in os.environ,
        reason="`make chaos` does; the worker's loss is tested",
    ),
]

ingested = on_cluster.ingested
on_one_machine = on_cluster.on_one_machine
start = on_cluster.start
KILLED = Fault(
    "a Spark executor is killed in mid-aggregate", "the run ends well; all files are equal to the byte"
)


def executors(running: Cluster) -> list[int]:
    """Process ids of the executors that the cluster's workers have started."""
    found = []
    for worker in running.workers:
        for child in psutil.Process(worker.pid).children():
            with suppress(psutil.NoSuchProcess):
                if any("CoarseGrainedExecutorBackend" in word for word in child.cmdline()):
                    found.append(child.pid)
    return found


def files(run: Run) -> int:
    """How many files the run has put in place."""
    return sum(1 for table in TABLES for _ in (run.lake / table).rglob("*.parquet"))


def test_bytes_are_those_of_one_machine_when_an_executor_is_killed(
    chaos: Chaos, start: Callable[..., Run], on_one_machine: dict[str, bytes]
) -> None:
    parquet = sum(name.endswith(".parquet") for name in on_one_machine)

    def kill(numbers: random.Random) -> None:
        run = start(running.url, **SEVERAL_TASKS)
        wanted = numbers.randrange(parquet)
        while files(run) < wanted or not (alive := executors(running)):
            with suppress(subprocess.TimeoutExpired):
                run.process.wait(timeout=0.02)
                raise NotInjectedError
        os.kill(numbers.choice(alive), signal.SIGKILL)
        assert run.result() == on_one_machine

    with cluster() as running:
        chaos.inject(KILLED, kill, at_most=FEW)
