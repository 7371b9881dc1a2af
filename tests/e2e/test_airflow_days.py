"""Three days in a row of a real log, through both DAGs, each after days that were there before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipelines.settings import CHECKOUT, Settings
from pipelines.stages import STAGES
from tests.homes import LENIENT, make_home

pytestmark = [
    pytest.mark.airflow, pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.timeout(3600),
]  # fmt: skip
BIN = Path(sys.executable).parent
MODELS = ("pooled_mlp", "pepnet")


@dataclass(frozen=True)
class Log:
    """A real log, three days of it, and the split of a run."""

    dataset: str
    days: tuple[date, date, date]
    split: dict[str, int]

    @property
    def start(self) -> date:
        """First day that the run of the first day needs."""
        return self.days[0] - timedelta(days=sum(self.split.values()) - 1)


LOGS = (
    Log(
        "movielens-100k",
        (date(1997, 11, 19), date(1997, 11, 20), date(1997, 11, 21)),
        {"train": 14, "validation": 1, "test": 2},
    ),
    Log(
        "kuairand-pure",
        (date(2022, 4, 29), date(2022, 4, 30), date(2022, 5, 1)),
        {"train": 3, "validation": 1, "test": 1},
    ),
)


@pytest.fixture(params=LOGS, ids=lambda log: log.dataset)
def log(request: pytest.FixtureRequest) -> Log:
    found: Log = request.param
    if found.dataset == "kuairand-pure" and not ((Settings().raw or Path()) / found.dataset).is_dir():
        pytest.skip("GATEHOUSE_RAW names no folder with kuairand-pure")
    return found


@pytest.fixture
def environment(log: Log, tmp_path: Path) -> dict[str, str]:
    """A home with the days before the three, and an Airflow of its own."""
    home = make_home(
        tmp_path / "home",
        log.dataset,
        datasets={
            log.dataset: {"days": {"start": str(log.start), "end": str(log.days[-1])}, "split": log.split}
        },
        train={"models": {model: {} for model in MODELS}, "epochs": 2, "batch_size": 256},
        promote=LENIENT,  # a day of this size says little
    )
    own = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "GATEHOUSE_HOME": str(home),
        "GATEHOUSE_RAW": str(Settings().raw or CHECKOUT / "raw"),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
    before = ("--start", str(log.start), "--end", str(log.days[0] - timedelta(days=1)))
    for command in (("ingest",), ("validate", "events"), ("aggregate",), ("validate", "features")):
        _run(own, "gatehouse", *command, *before)
    _run(own, "airflow", "db", "migrate")
    _run(own, "airflow", "pools", "set", "gpu", "1", "training")
    return own


def _run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    return done.stdout


def test_three_days_run_to_success_and_publish_a_version_each(log: Log, environment: dict[str, str]) -> None:
    out = _run(environment, sys.executable, "-m", "tests.e2e.airflow_days", *map(str, log.days))
    runs = [json.loads(line) for line in out.splitlines() if line.startswith('{"ds"')]
    told = [(run["ds"], run["dag"], run["state"]) for run in runs]
    once = [(str(ds), dag, "success") for ds in log.days for dag in ("daily_features", "daily_retrain")]
    assert told == [*once, (str(log.days[-1]), "daily_retrain", "success")], runs
    names = {task.partition("[")[0] for run in runs for task in run["tasks"]}
    assert names == {stage.name for stage in STAGES} | {"day"}
    assert all(set(run["tasks"].values()) == {"success"} for run in runs)
    home = Path(environment["GATEHOUSE_HOME"])
    registry = home / "registry" / log.dataset
    tags = _run(environment, "git", "-C", str(registry / "models.git"), "tag").split()
    assert tags == [
        *(f"pepnet#prod#{number}" for number in (1, 2, 3)),
        *(f"pepnet@v{number}.0.0" for number in (1, 2, 3)),
    ]
    assert json.loads((registry / "published.json").read_text())["ds"] == str(log.days[-1])
    assert json.loads((home / "feast" / "served.json").read_text())["ds"] == str(log.days[-1])
