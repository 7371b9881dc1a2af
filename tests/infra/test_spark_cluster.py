"""Aggregate on a real Spark cluster: the bytes of one machine, whatever runs twice and whatever is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.spark.cluster import WORKER_HOSTS, Cluster, cluster
from pipelines.days import Days
from pipelines.lake import Lake
from pipelines.settings import CHECKOUT, Settings
from pipelines.verdicts import Verdict, write_verdict
from tests.homes import make_home

pytestmark = [pytest.mark.spark, pytest.mark.slow]

DAYS = Days.model_validate({"start": "2026-01-01", "end": "2026-01-02"})
OF_TESTS = CHECKOUT / "tests" / "spark-defaults.conf"
GATEHOUSE = Path(sys.executable).with_name("gatehouse")
TABLES = ("tiles", "features")
SEVERAL_TASKS = {
    "spark.sql.shuffle.partitions": "6",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
}
# Every task that is not among the first to end is run a second time, as soon as a core is free.
EAGER = {
    "spark.speculation": "true",
    "spark.speculation.interval": "5ms",
    "spark.speculation.minTaskRuntime": "0ms",
    "spark.speculation.multiplier": "0.01",
    "spark.speculation.quantile": "0.01",
}
# Executors write their tasks' beginnings and ends into their own folders. Their stderr says the same, but
# through the worker, later than the end is known to the driver.
TASK_LOG = """
appender.tasks.type = File
appender.tasks.name = tasks
appender.tasks.fileName = tasks.log
appender.tasks.layout.type = PatternLayout
appender.tasks.layout.pattern = %m%n
logger.executor.name = org.apache.spark.executor.Executor
logger.executor.level = info
logger.executor.appenderRef.tasks.ref = tasks
"""


@dataclass(frozen=True)
class Run:
    """One `gatehouse aggregate` in a home of its own, and what Spark noted of it."""

    home: Path
    process: subprocess.Popen[str]

    @property
    def lake(self) -> Path:
        return Settings(home=self.home).lake

    def result(self) -> dict[str, bytes]:
        """All tiles and features, manifests included; fails unless the command ended well."""
        out, err = self.process.communicate(timeout=500)
        assert self.process.returncode == 0, f"{out}\n{err}"
        return {
            str(path.relative_to(self.lake)): path.read_bytes()
            for table in TABLES
            for path in (self.lake / table).rglob("*")
            if path.is_file()
        }

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Spark's notes of one kind."""
        log = next((self.home / "spark_events").iterdir())
        notes = [json.loads(line) for line in log.read_text().splitlines()]
        return [note for note in notes if note["Event"] == f"SparkListener{kind}"]


@pytest.fixture(scope="module")
def ingested(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with validated events of two days. Copy it before using it."""
    from pipelines.ingest import ingest

    simulated = {
        "days": {"start": str(DAYS.start), "end": str(DAYS.end)},
        "simulation": {"users": 800, "items": 200, "scenarios": 3, "events_per_day": 5_000, "seed": 7},
        "split": {"train": 1, "validation": 1, "test": 1},
    }
    home = make_home(
        tmp_path_factory.mktemp("cluster") / "home", "simulated", datasets={"simulated": simulated}
    )
    settings = Settings(home=home)
    ingest(settings, DAYS)
    lake = Lake(settings.lake)
    for ds in DAYS:
        content = lake.manifest("events", ds).content
        write_verdict(lake, Verdict(table="events", ds=str(ds), content=content, passed=True, checks=1))
    return home


@pytest.fixture
def start(ingested: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start an aggregate on a master, with further Spark settings, in a copy of the ingested home."""
    runs: list[Run] = []

    def started(master: str, **spark_defaults: str) -> Run:
        home = tmp_path / f"home-{len(runs)}"
        shutil.copytree(ingested, home)
        (home / "spark_events").mkdir()
        defaults = spark_defaults | {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.rolling.enabled": "false",
            "spark.eventLog.compress": "false",
            "spark.eventLog.dir": (home / "spark_events").as_uri(),
        }
        lines = "".join(f"{k} {v}\n" for k, v in defaults.items())
        (home / "spark-defaults.conf").write_text(OF_TESTS.read_text() + lines)
        environment = os.environ | {
            "GATEHOUSE_HOME": str(home),
            "GATEHOUSE_SPARK_MASTER": master,
            "SPARK_CONF_DIR": str(home),
            "PYSPARK_SUBMIT_ARGS": "pyspark-shell",
        }
        process = subprocess.Popen(
            [str(GATEHOUSE), "aggregate"], env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        runs.append(Run(home, process))
        return runs[-1]

    yield started
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, 9)
            run.process.communicate()


@pytest.fixture(scope="module")
def on_one_machine(ingested: Path, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the stage writes on this process's own local session."""
    from pipelines.aggregate import aggregate

    home = tmp_path_factory.mktemp("local") / "home"
    shutil.copytree(ingested, home)
    aggregate(Settings(home=home), DAYS)
    lake = Settings(home=home).lake
    return {
        str(path.relative_to(lake)): path.read_bytes()
        for table in TABLES
        for path in (lake / table).rglob("*")
        if path.is_file()
    }


def stopped_at_work(running: Cluster, number: int) -> bool:
    """Stop a worker and its executors where they are if a task is among what they do; else let them go on."""
    worker = running.workers[number].pid
    os.killpg(worker, signal.SIGSTOP)
    log = "".join(path.read_text() for path in running.folder.glob(f"work-{number}/app-*/*/tasks.log"))
    begun, done = (set(re.findall(rf"{verb} task .* \(TID (\d+)\)", log)) for verb in ("Running", "Finished"))
    if not begun - done:
        os.killpg(worker, signal.SIGCONT)
    return bool(begun - done)


def test_cluster_writes_the_bytes_of_one_machine_when_tasks_run_twice(
    start: Callable[..., Run], on_one_machine: dict[str, bytes]
) -> None:
    with cluster() as running:
        run = start(running.url, **SEVERAL_TASKS, **EAGER)
        assert run.result() == on_one_machine
    assert {note["Task Info"]["Host"] for note in run.events("TaskEnd")} == set(WORKER_HOSTS)
    assert any(note["Task Info"]["Speculative"] for note in run.events("TaskStart"))


def test_worker_lost_in_mid_run_costs_no_row(
    start: Callable[..., Run], on_one_machine: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "log4j2.properties").write_text(TASK_LOG)
    logged = {"spark.executor.extraJavaOptions": f"-Dlog4j2.configurationFile={tmp_path}/log4j2.properties"}
    with cluster() as shrinking:
        run = start(shrinking.url, **SEVERAL_TASKS, **logged)
        while not any((run.lake / "tiles").rglob("_manifest.json")) or not stopped_at_work(shrinking, 0):
            with pytest.raises(subprocess.TimeoutExpired):
                run.process.wait(timeout=0.02)
        shrinking.kill_worker(0)
        assert run.result() == on_one_machine
    assert len(run.events("ExecutorRemoved")) == 1
    assert any(note["Task Info"]["Failed"] for note in run.events("TaskEnd"))
