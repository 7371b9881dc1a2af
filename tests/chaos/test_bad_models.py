"""Training goes wrong, or a model was tampered with: the old model stays, the other one is refused."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from features.declarations.errors import GatehouseError
from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.settings import CHECKOUT, Settings
from pipelines.train import train
from tests.chaos.faults import FEW, Chaos, Fault
from tests.chaos.retraining import MODEL, one_model
from tests.chaos.states import sealed_state
from tests.homes import make_home
from tests.pipelines.assembled import DS, assembled, encode, let_through, write_training_set
from tests.training.rows import training_rows
from training.artifact import load_model
from training.errors import DivergedError
from training.sealed import sealed_folder

MEMORY = 16 << 30
DIVERGED = Fault(
    "train's loss is not finite", "the error names the batch, and the model that was there is as it was"
)
NO_MEMORY = Fault("train finds too little memory", "a clear error, and the model that was there is as it was")
POISONED = Fault(
    "a model's folder was tampered with",
    "the model is refused when it is loaded, and the error names the file",
)
NO_POSITIVES = Fault(
    "a scenario has no positives",
    "it is trained and judged; evaluation says why the scenario has no AUC",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a trained model. Copy it before changing it."""
    home = tmp_path_factory.mktemp("trained") / "home"
    train(assembled(lambda *a, **k: make_home(home, *a, **k), rows=1500), DS, MODEL)
    return home


@pytest.fixture
def settings(trained: Path, tmp_path: Path) -> Settings:
    return Settings(home=Path(shutil.copytree(trained, tmp_path / "home")), device="cpu")


def retold(settings: Settings, **changed: Any) -> Settings:
    """The home, with other settings of training."""
    path = settings.home / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["train"] |= changed
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return Settings(home=settings.home, device="cpu")


def test_model_stays_and_the_batch_is_named_when_the_loss_is_not_finite(
    chaos: Chaos, settings: Settings
) -> None:
    folder = settings.models / MODEL / f"ds={DS}"
    before = sealed_state(folder)

    def diverge(numbers: random.Random) -> None:
        reckless = retold(settings, lr=10.0 ** numbers.randint(25, 35), seed=numbers.randrange(1000))
        with pytest.raises(DivergedError, match=r"epoch \d+, batch \d+ .*train\.lr"):
            train(reckless, DS, MODEL)
        assert sealed_state(folder) == before

    chaos.inject(DIVERGED, diverge, at_most=FEW)


def test_model_stays_and_the_error_is_clear_when_memory_runs_out(chaos: Chaos, settings: Settings) -> None:
    folder = settings.models / MODEL / f"ds={DS}"
    before = sealed_state(folder)

    def starve(numbers: random.Random) -> None:
        retold(settings, hidden=[numbers.randint(10**9, 10**10)])  # hundreds of gigabytes of weights
        ended = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "train", MODEL],
            env={**os.environ, "GATEHOUSE_HOME": str(settings.home), "COLUMNS": "200"},
            cwd=CHECKOUT, preexec_fn=limit_memory, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = " ".join(ended.stderr.split())
        assert ended.returncode == 1, said
        assert "Traceback" not in said
        assert re.search(r"error: \w+: not enough memory: ", said), said
        assert "train.hidden" in said
        assert sealed_state(folder) == before

    chaos.inject(NO_MEMORY, starve, at_most=FEW)


def limit_memory() -> None:
    """Let this process and what it starts have no more than so much address space."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def test_model_is_refused_when_its_folder_was_tampered_with(
    chaos: Chaos, trained: Path, tmp_path: Path
) -> None:
    model, ways = Settings(home=trained).models / MODEL / f"ds={DS}", itertools.cycle(TAMPERINGS)

    def tamper(numbers: random.Random) -> None:
        folder = Path(shutil.copytree(model, tmp_path / "copy"))
        try:
            named = next(ways)(folder, numbers)
            with pytest.raises(GatehouseError) as refused:
                load_model(folder)
            assert named in str(refused.value)
        finally:
            shutil.rmtree(folder)

    chaos.inject(POISONED, tamper, kinds=len(TAMPERINGS), at_most=2)


def a_byte(folder: Path, numbers: random.Random) -> str:
    path = numbers.choice(sorted(path for path in folder.iterdir() if path.name != "hashes.json"))
    content = bytearray(path.read_bytes())
    content[numbers.randrange(len(content))] ^= 1 << numbers.randrange(8)
    path.write_bytes(content)
    return path.name


def a_pickle_as_weights(folder: Path, numbers: random.Random) -> str:
    weights = pickle.dumps({"weights": [numbers.random()]})
    _sealed_again(folder, lambda staging: (staging / "model.safetensors").write_bytes(weights))
    return "is not a model"


def a_pickle_more(folder: Path, numbers: random.Random) -> str:
    (folder / "weights.pkl").write_bytes(pickle.dumps([numbers.random()]))
    return "weights.pkl is refused"


def a_link(folder: Path, numbers: random.Random) -> str:
    path = numbers.choice(sorted(path for path in folder.iterdir() if path.name != "hashes.json"))
    path.symlink_to(path.rename(folder.parent / path.name))
    return f"{path.name} is refused"


def a_file_more(folder: Path, numbers: random.Random) -> str:
    (folder / f"notes-{numbers.randrange(9)}.json").write_text("{}")
    return "does not list it"


def weights_of_another_shape(folder: Path, numbers: random.Random) -> str:
    def reshape(weights: dict[str, torch.Tensor]) -> None:
        name = numbers.choice(sorted(weights))
        weights[name] = torch.zeros(*weights[name].shape, 2)

    _with_weights(folder, reshape)
    return "size mismatch"


def weights_that_are_missing(folder: Path, numbers: random.Random) -> str:
    _with_weights(folder, lambda weights: weights.pop(numbers.choice(sorted(weights))))
    return "Missing key"


def weights_that_are_not_finite(folder: Path, numbers: random.Random) -> str:
    def spoil(weights: dict[str, torch.Tensor]) -> None:
        name = numbers.choice(sorted(name for name, value in weights.items() if value.is_floating_point()))
        weights[name].view(-1)[0] = numbers.choice([float("nan"), float("inf")])

    _with_weights(folder, spoil)
    return "NaN or infinite"


TAMPERINGS: tuple[Callable[[Path, random.Random], str], ...] = (
    a_byte, a_pickle_as_weights, a_pickle_more, a_link, a_file_more,
    weights_of_another_shape, weights_that_are_missing, weights_that_are_not_finite,
)  # fmt: skip


def _with_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    _sealed_again(folder, lambda staging: save_file(weights, staging / "model.safetensors"))


def _sealed_again(folder: Path, change: Callable[[Path], object]) -> None:
    """Change a model's folder and give it hashes that fit, as somebody would who means harm."""
    copy = Path(shutil.copytree(folder, folder.with_name("original")))
    with sealed_folder(folder) as staging:
        for path in copy.iterdir():
            if path.name != "hashes.json":
                shutil.copy(path, staging)
        change(staging)
    shutil.rmtree(copy)


def test_scenario_without_positives_is_trained_and_said_to_have_no_area(chaos: Chaos, tmp_path: Path) -> None:
    def deprive(numbers: random.Random) -> None:
        home = tmp_path / f"home-{numbers.random()}"
        settings = assembled(lambda *a, **k: make_home(home, *a, **one_model(k)), rows=1500)
        name = f"scenario{numbers.randrange(3)}"
        rows = training_rows(settings.catalog, rows=1500, seed=numbers.randrange(1000))
        rows = without_positives(rows, name, [task.column for task in settings.catalog.tasks])
        write_training_set(settings, rows)
        let_through(settings)
        encode(settings, rows)
        train(settings, DS, MODEL)
        evaluate(settings, DS)
        found = json.loads((settings.evaluation / f"ds={DS}.json").read_text())
        own = found["models"][MODEL]["scenarios"][name]
        assert all(task["auc"] is None and "positives" in task["reason"] for task in own.values()), own
        verdict = promote(settings, DS)
        areas = [own.challenger for own in verdict.differences if (own.scenario, own.metric) == (name, "auc")]
        assert not [area for area in areas if area is not None]

    chaos.inject(NO_POSITIVES, deprive, at_most=FEW)


def without_positives(rows: pa.Table, scenario: str, labels: list[str]) -> pa.Table:
    there = pc.equal(rows["scenario_id"], scenario)
    for label in labels:
        zeroed = pc.if_else(there, pa.scalar(0, rows[label].type), rows[label])
        rows = rows.set_column(rows.schema.get_field_index(label), label, zeroed)
    return rows
