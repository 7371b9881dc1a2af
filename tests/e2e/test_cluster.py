"""Three days in a row of a real log on the cluster, by scheduler and REST; a training is killed midway, the
metadata database during the next, and the last day's event comes twice.

`GATEHOUSE_TRANSCRIPT=docs/airflow/transcript.md pytest tests/e2e/test_cluster.py` writes down what happened.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from pipelines.settings import CHECKOUT, Settings
from pipelines.stages import STAGES
from tests.e2e.airflows import Airflow, Json, airflow, wait_for
from tests.e2e.transcript import write_transcript
from tests.homes import LENIENT, make_home

pytestmark = [
    pytest.mark.airflow, pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.timeout(3600),
]  # fmt: skip
GATEHOUSE = Path(sys.executable).with_name("gatehouse")
MODELS = ("pepnet", "pooled_mlp")  # the slower one first, for it is the first that is killed
# What Spark is told by all tests, but here it compiles its queries, as for any user: a day is 100,000 rows.
COMPILED = shlex.join(
    [
        "--properties-file", str(CHECKOUT / "tests" / "spark-defaults.conf"),
        "--conf", "spark.sql.codegen.wholeStage=true", "--conf", "spark.sql.codegen.factoryMode=FALLBACK",
        "pyspark-shell",
    ]
)  # fmt: skip
# A worker that is gone shall be noticed within seconds, not minutes.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}


@dataclass(frozen=True)
class Log:
    """A real log, three days of it, and the split of a run.

    `epochs` are more than are of use, so that there is a middle of a training.
    """

    dataset: str
    raw: Path
    days: tuple[date, date, date]
    split: dict[str, int]
    epochs: int

    @property
    def start(self) -> date:
        """First day that the run of the first day needs."""
        return self.days[0] - timedelta(days=sum(self.split.values()) - 1)


def real_log() -> Log:
    """KuaiRand-Pure where it lies at hand, else MovieLens-100k, which comes as a package."""
    own = Settings().raw
    for raw in (own, CHECKOUT.parent / "shared" / "data"):
        if raw is not None and (raw / "kuairand-pure").is_dir():
            days = (date(2022, 4, 29), date(2022, 4, 30), date(2022, 5, 1))
            return Log("kuairand-pure", raw, days, {"train": 2, "validation": 1, "test": 1}, epochs=4)
    days = (date(1997, 11, 19), date(1997, 11, 20), date(1997, 11, 21))
    return Log(
        "movielens-100k", own or CHECKOUT / "raw", days, {"train": 14, "validation": 1, "test": 2}, epochs=8
    )


@dataclass(frozen=True)
class Road:
    """The log, the home that it is in, and the cluster that runs its days."""

    log: Log
    settings: Settings
    airflow: Airflow

    def retrained(self, number: int) -> Json:
        """The run of daily_retrain that the features of one more day started, once it is there."""
        runs = wait_for(
            f"run {number + 1} of daily_retrain",
            lambda: len(runs := self.airflow.runs("daily_retrain")) > number and runs,
        )
        return dict(runs[number])

    def tags(self, pattern: str = "*") -> list[str]:
        """The registry's tags, the lowest number first."""
        models = self.settings.home / "registry" / self.log.dataset / "models.git"
        tags = subprocess.run(
            ["git", "-C", models, "tag", "--list", "--sort=version:refname", pattern],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return tags.stdout.split()

    def versions(self) -> list[str]:
        """Published versions, oldest first."""
        return self.tags("*@v*")


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """A cluster, and a home with the days before the three."""
    log = real_log()
    home = make_home(
        tmp_path_factory.mktemp("cluster") / "home",
        log.dataset,
        datasets={
            log.dataset: {"days": {"start": str(log.start), "end": str(log.days[-1])}, "split": log.split}
        },
        train={
            "models": {model: {} for model in MODELS},
            "epochs": log.epochs,
            "patience": log.epochs,
            "batch_size": 256,
        },
        promote=LENIENT,  # a day of this size says little
    )
    environment = {"GATEHOUSE_RAW": str(log.raw), "PYSPARK_SUBMIT_ARGS": COMPILED, **IMPATIENT}
    before = ("--start", str(log.start), "--end", str(log.days[0] - timedelta(days=1)))

    def days_before() -> None:
        for command in (("ingest",), ("validate", "events"), ("aggregate",), ("validate", "features")):
            done = subprocess.run(
                [GATEHOUSE, *command, *before], capture_output=True, text=True, check=False,
                env=os.environ | environment | {"GATEHOUSE_HOME": str(home)},
            )  # fmt: skip
            assert done.returncode == 0, f"{command}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"

    with airflow("infra.airflow.cluster", home, meanwhile=days_before, **environment) as cluster:
        yield Road(log, Settings(home=home), cluster)


def test_every_socket_listens_on_loopback_only(road: Road) -> None:
    assert road.airflow.listens_at() == {"127.0.0.1"}


def test_three_days_publish_a_version_each_though_a_training_and_the_database_are_killed(road: Road) -> None:
    for dag in ("daily_features", "daily_retrain"):
        road.airflow.unpause(dag)
    runs: list[tuple[date, Json]] = []
    features = road.airflow.trigger("daily_features", ds=road.log.days[0])
    for number, ds in enumerate(road.log.days):
        runs.append((ds, road.airflow.finished(features)))
        retrain = road.retrained(number)
        if number + 1 < len(road.log.days):  # built while this day is trained on
            features = road.airflow.trigger("daily_features", ds=road.log.days[number + 1])
        if number == 0:
            resumed = kill_and_clear(road, retrain)
        if number == 1:
            kill_postgres(road, retrain)
        runs.append((ds, road.airflow.finished(retrain)))

    log = road.airflow.log(resumed, road.airflow.again(resumed)["try_number"])
    assert "continues from its checkpoint" in log
    assert "training on the CPU" in log or "cuda" in log
    tasks = [task for _, run in runs for task in road.airflow.tasks(run)]
    assert {task["state"] for task in tasks} == {"success"}
    assert {stage.name for stage in STAGES} <= {task["task_id"] for task in tasks}
    assert {(task["task_id"], task["queue"]) for task in tasks if task["queue"] != "cpu"} == {
        ("train", "gpu")
    }
    assert one_after_another([task for task in tasks if task["task_id"] == "train"])
    assert road.versions() == [f"pepnet@v{number}.0.0" for number in (1, 2, 3)]
    require_doubled_event_to_publish_nothing(road, len(runs) // 2)
    if "GATEHOUSE_TRANSCRIPT" in os.environ:
        page = Path(os.environ["GATEHOUSE_TRANSCRIPT"])
        write_transcript(page, road.airflow, road.log.dataset, runs, road.versions())


def kill_and_clear(road: Road, run: Json) -> Json:
    """Kill the GPU worker in the middle of a run's first training, and have the task run again at once.

    Returns:
        The task instance that was killed.
    """
    ds = road.log.days[0]
    checkpoints = road.settings.runs / "checkpoints" / f"ds={ds}"
    checkpoint = wait_for("a checkpoint", lambda: next(checkpoints.glob("*.pt"), None))
    [training] = [
        task for task in road.airflow.tasks(run) if (task["task_id"], task["state"]) == ("train", "running")
    ]
    [worker] = [each for each in road.airflow.components if "--queues gpu" in " ".join(each.cmdline())]
    lost = [worker, *worker.children(recursive=True)]
    assert any("gatehouse" in " ".join(process.cmdline()) for process in lost)
    os.killpg(worker.pid, signal.SIGKILL)
    assert psutil.wait_procs(lost, timeout=10)[1] == [], "a training outlived its worker"
    assert not (road.settings.models / checkpoint.stem / f"ds={ds}").exists(), "the training had ended"
    wait_for("Airflow to miss the worker", lambda: road.airflow.again(training)["state"] == "up_for_retry")
    road.airflow.clear(training)
    return training


def kill_postgres(road: Road, run: Json) -> None:
    """Crash Airflow's metadata database while a run trains, and wait until Airflow is well again."""

    def trains() -> bool:
        return any((own["task_id"], own["state"]) == ("train", "running") for own in road.airflow.tasks(run))

    wait_for("the training", trains)
    [postmaster] = [each for each in road.airflow.components if each.name() == "postgres"]
    postmaster.send_signal(signal.SIGQUIT)  # an immediate shutdown: what is open is lost, the log is replayed
    assert psutil.wait_procs([postmaster], timeout=10)[1] == []
    wait_for("Airflow to be well again", road.airflow.is_well)


def require_doubled_event_to_publish_nothing(road: Road, retrained: int) -> None:
    """The last day's event once more, after so many runs of daily_retrain: one more run, and no tag."""
    ds, before = str(road.log.days[-1]), road.tags()
    road.airflow.post_event("gatehouse_features", ds, {"ds": ds, "retrain": "True"})
    again = road.airflow.finished(road.retrained(retrained))
    assert (again["run_type"], again["partition_key"]) == ("asset_triggered", ds)
    assert {task["state"] for task in road.airflow.tasks(again)} == {"success"}
    assert road.tags() == before


def one_after_another(tasks: list[Json]) -> bool:
    """Whether no two of them ran at a time."""
    spans = sorted((task["start_date"], task["end_date"]) for task in tasks)
    return all(ended <= started for (_, ended), (started, _) in pairwise(spans))
