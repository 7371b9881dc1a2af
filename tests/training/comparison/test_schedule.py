"""The schedule with real contenders on a tiny log: budgets, what is stored, and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.comparison.networks import Network
from training.comparison.schedule import run_all
from training.comparison.tuning import Budget, Finished
from training.comparison.units import Outcome, Unit
from training.comparison.workers import Place
from training.config import TrainConfig
from training.data.arrays import EncodedArrays

CONTENDERS = [Network("pooled_mlp"), Network("shared_bottom")]
BUDGET = Budget(trials=3, seeds=2)
OUTCOME = Outcome(contender="pooled_mlp", values={}, seed=3, seconds=1.0)
CONFIG = TrainConfig(seed=3, embedding_dim=4, hidden=(8,), batch_size=256, epochs=1, lr=0.01, patience=1)
RUN = """
import os, signal, sys
from pathlib import Path
from tests.training.comparison.test_schedule import BUDGET, CONTENDERS, place
from training.comparison.schedule import run_all

if __name__ == "__main__":
    done = []
    def watcher(unit, outcome):
        done.append(unit)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    run_all(CONTENDERS, place(*map(Path, sys.argv[1:3])), BUDGET, jobs=2, watcher=watcher)
"""


def place(encoded: Path, store: Path) -> Place:
    data = EncodedArrays(encoded).fingerprint
    return Place(encoded=encoded, data=data, store=store, config=CONFIG, device="cpu")


def run(encoded: Path, store: Path, budget: Budget = BUDGET) -> tuple[dict[str, Finished], list[Unit]]:
    """The contenders' courses in this process, and the units that were told of."""
    told: list[Unit] = []

    def watcher(unit: Unit, outcome: Outcome) -> None:
        told.append(unit)

    return run_all(CONTENDERS, place(encoded, store), budget, jobs=1, watcher=watcher), told


def without_seconds(finished: dict[str, Finished]) -> dict[str, list[Outcome]]:
    return {
        name: [own.model_copy(update={"seconds": 0.0}) for own in (*course.trials, *course.outcomes)]
        for name, course in finished.items()
    }


def predictions(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*.npy"))}


@pytest.fixture(scope="module")
def undisturbed(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("undisturbed")
    run(encoded, store)
    return store


def test_each_contender_gets_the_same_budget_and_only_judged_fits_predict_the_test_days(
    encoded: Path, undisturbed: Path
):
    finished, told = run(encoded, undisturbed)
    assert list(finished) == ["pooled_mlp", "shared_bottom"]
    for name, course in finished.items():
        own = [unit for unit in told if unit.contender.name == name]
        untested = BUDGET.trials if course.confirmation is None else BUDGET.most - BUDGET.seeds
        assert [unit.tested for unit in own] == [False] * untested + [True] * BUDGET.seeds
        assert len(list((undisturbed / name).glob("*.json"))) == untested + BUDGET.seeds
        assert len(list((undisturbed / name).glob("*.npy"))) == BUDGET.seeds
        assert own[0].values == own[0].contender.committed(CONFIG)
        assert {outcome.seed for outcome in course.outcomes}.isdisjoint({CONFIG.seed})


def test_nothing_is_done_again_when_all_is_stored(encoded: Path, undisturbed: Path):
    times = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.*")}
    run(encoded, undisturbed)
    assert {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.*")} == times


def test_a_larger_budget_costs_only_what_it_adds(encoded: Path, tmp_path: Path):
    run(encoded, tmp_path, Budget(trials=1, seeds=1))
    before = set(tmp_path.rglob("*.json"))
    finished, _ = run(encoded, tmp_path, Budget(trials=1, seeds=2))
    assert len(set(tmp_path.rglob("*.json")) - before) == len(finished)


def test_other_data_or_settings_are_fitted_anew(encoded: Path, tmp_path: Path):
    here = place(encoded, tmp_path)
    _, store = here.open()
    unit = Unit(CONTENDERS[0], {"lr": 0.01}, 3, tested=True)
    store.keep(unit, OUTCOME, np.zeros((2, 1), dtype=np.float32))
    assert store.has(unit)
    longer = Place(encoded, here.data, tmp_path, CONFIG.model_copy(update={"epochs": 2}), "cpu")
    assert not longer.open()[1].has(unit)
    assert not store.has(Unit(unit.contender, {"lr": 0.02}, 3, tested=True))
    assert not store.has(Unit(unit.contender, unit.values, 4, tested=True))
    assert not store.has(Unit(unit.contender, unit.values, 3, tested=False))


@pytest.mark.slow
def test_a_comparison_ends_in_the_same_outcomes_when_it_was_killed_in_between(
    encoded: Path, undisturbed: Path, tmp_path: Path
):
    """Killed with two workers, continued with none. The pipe closes once the workers have ended, too."""
    script = tmp_path / "killed.py"
    script.write_text(RUN, encoding="utf-8")
    store = tmp_path / "store"
    killed = subprocess.run(
        [sys.executable, str(script), str(encoded), str(store)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, check=False, timeout=300,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    stored = {path: path.read_bytes() for path in store.rglob("*.json")}
    assert 3 <= len(stored) < 2 * (BUDGET.trials + BUDGET.seeds)
    continued, _ = run(encoded, store)
    assert without_seconds(continued) == without_seconds(run(encoded, undisturbed)[0])
    assert predictions(store) == predictions(undisturbed)
    assert {path: path.read_bytes() for path in stored} == stored
