"""The road as the demo and DVC run it, in a copy of the project with a small simulated log."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.settings import CHECKOUT
from pipelines.stages import STAGES
from tests.homes import LENIENT

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.timeout(1800)]

SMALL = {
    "days": {"start": "2026-01-01", "end": "2026-01-06"},
    "split": {"train": 3, "validation": 1, "test": 1},
    "simulation": {"users": 200, "items": 50, "scenarios": 3, "events_per_day": 2000, "seed": 7},
}
UNTIL_TRAINING = {stage.name for stage in STAGES[: [stage.name for stage in STAGES].index("train")]}
# About two seconds on an idle machine; tests share theirs.
NOTHING_TO_DO_SECONDS = 30


COPIED = (".dvc", ".dvcignore", ".gitignore", "dvc.yaml", "params.yaml", "features", "pipelines", "training")


@dataclass(frozen=True)
class Project:
    """A copy of the project, and DVC in it."""

    folder: Path

    def dvc(self, *arguments: str) -> str:
        """Run DVC, which must end well, without any git configuration of the user's."""
        done = self._run(sys.executable, "-m", "dvc", *arguments)
        assert done.returncode == 0, f"dvc {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def gatehouse(self, *arguments: str) -> str:
        done = self._run(str(Path(sys.executable).with_name("gatehouse")), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def git(self, *arguments: str) -> None:
        done = self._run("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost", *arguments)
        assert done.returncode == 0, f"git {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"

    def repro(self, *arguments: str) -> set[str]:
        """Run `dvc repro` or another command that runs stages; the names of those that ran."""
        return ran(self.dvc(*(arguments or ("repro",))))

    def change(self, *path: str, value: Any) -> None:
        """Set one entry of params.yaml."""
        file = self.folder / "params.yaml"
        params = yaml.safe_load(file.read_text(encoding="utf-8"))
        section = params
        for name in path[:-1]:
            section = section[name]
        section[path[-1]] = value
        file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GATEHOUSE_"))
        }
        environment = own | {
            "HOME": str(self.folder.parent),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GATEHOUSE_SPARK_DRIVER_MEMORY": "1g",
        }
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


def ran(said: str) -> set[str]:
    """Names of the stages that ran."""
    return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage '")}


@dataclass(frozen=True)
class Demo:
    """A project whose road was run once and committed, and what the demo said."""

    project: Project
    said: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The project as it stands in this checkout, in which somebody has called `gatehouse demo`."""
    folder = tmp_path_factory.mktemp("dvc") / "project"
    folder.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, folder / name)
    project = Project(folder)
    for unwanted in ("cache", "tmp", "config.local"):
        shutil.rmtree(folder / ".dvc" / unwanted, ignore_errors=True)
        (folder / ".dvc" / unwanted).unlink(missing_ok=True)
    project.change("dataset", value="simulated")
    project.change("datasets", "simulated", value=SMALL)
    project.change("promote", value=LENIENT)
    project.change("train", "models", value={"pooled_mlp": {}, "pepnet": {}})
    project.change("train", "batch_size", value=64)
    project.change("train", "epochs", value=3)
    project.git("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "The project")
    said = project.gatehouse("demo")
    project.git("add", "dvc.lock")
    project.git("commit", "--quiet", "--message", "The first run")
    return Demo(project, said)


@pytest.fixture
def finished(demo: Demo) -> Project:
    """The project after the demo, to look at."""
    return demo.project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy to change."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Project(folder)


def test_demo_runs_every_stage_and_ends_with_rankings_and_the_report(demo: Demo) -> None:
    assert {name.partition("@")[0] for name in ran(demo.said)} == {stage.name for stage in STAGES}
    of_two_scenarios = re.findall(r"pepnet@\S+ over (\d+) items", demo.said)
    assert of_two_scenarios == ["50", "50"]
    assert str(demo.project.folder / "reports" / "index.html") in demo.said.replace("\n", "")


def test_repro_leaves_a_published_model_and_a_report(finished: Project) -> None:
    note = json.loads((finished.folder / "registry" / "simulated" / "published.json").read_text())
    assert (note["model"], note["version"], note["ds"]) == ("pepnet", "v1.0.0", "2026-01-06")
    assert (finished.folder / "reports" / "index.html").stat().st_size > 10_000
    metrics = json.loads((finished.folder / "reports" / "metrics.json").read_text())
    assert {"pooled_mlp", "pepnet", "lightgbm"} <= set(metrics)


def test_lineage_leads_from_the_published_version_back_to_the_log(finished: Project) -> None:
    drawn = finished.gatehouse("lineage", "pepnet@v1.0.0")
    stages = [line.split("── ")[1].split()[0] for line in drawn.splitlines()[1:] if "── " in line]
    assert {"publish", "evaluate", "train.pepnet", "assemble", "aggregate", "ingest"} < set(stages)
    assert "raw/simulated" in stages


def test_repro_does_nothing_and_quickly_when_it_runs_again(finished: Project) -> None:
    begun = time.monotonic()
    assert finished.repro() == set()
    assert time.monotonic() - begun < NOTHING_TO_DO_SECONDS


def test_repro_trains_one_model_and_keeps_other_days_when_only_its_settings_changed(project: Project) -> None:
    """DVC deletes the outputs of a stage before it runs, unless they persist."""
    other_run = project.folder / "models" / "simulated" / "pepnet" / "ds=2026-01-05" / "card.md"
    other_run.parent.mkdir()
    other_run.write_text("of another run")
    project.change("train", "models", "pepnet", value={"gate_hidden": 16})
    assert project.repro() == {"train@pepnet", "evaluate", "promote", "publish", "report"}
    note = json.loads((project.folder / "registry" / "simulated" / "published.json").read_text())
    assert note["version"] == "v2.0.0"
    assert other_run.read_text() == "of another run"


def test_experiments_rerun_training_and_later_and_metrics_compare_when_a_rate_changed(
    project: Project,
) -> None:
    project.git("config", "user.name", "Tester")
    project.git("config", "user.email", "tester@localhost")
    changed = project.repro("exp", "run", "--name", "slower", "--set-param", "train.lr=0.0001", "report")
    assert changed == {"train@pooled_mlp", "train@pepnet", "evaluate", "promote", "report"}
    metrics = json.loads(project.dvc("metrics", "diff", "--json"))["reports/metrics.json"]
    area = metrics["pepnet.click.auc"]
    assert area["old"] != area["new"]
    assert not any(name.startswith("lightgbm") for name in metrics)


def test_repro_runs_no_stage_with_data_when_training_code_changed(project: Project) -> None:
    with (project.folder / "training" / "loop.py").open("a") as code:
        code.write("# changed\n")
    status = json.loads(project.dvc("status", "--json"))
    assert {name.partition("@")[0] for name in status} & UNTIL_TRAINING == set()
    assert {"train@pooled_mlp", "train@pepnet"} <= set(status)
