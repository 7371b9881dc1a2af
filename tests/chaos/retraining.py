"""A home whose model is to be trained again with another seed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.settings import Settings
from tests.chaos.commands import Nursery, Steps
from tests.chaos.states import files_of, sealed_state
from tests.homes import LENIENT, make_home
from tests.pipelines.assembled import DS, assembled

MODEL = "pooled_mlp"


@dataclass(frozen=True)
class Retraining:
    """A home with a model that is to be trained again with another seed.

    Attributes:
        home: to be copied.
        states: of the model's folder, before and after.
        new: the files of the model afterwards.
        steps: how many changes of files the training makes.
    """

    home: Path
    states: set[str | None]
    new: dict[str, str]
    steps: int

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("train", MODEL)

    def copy(self, into: Path) -> Settings:
        return Settings(home=Path(shutil.copytree(self.home, into)), device="cpu")

    def environment_in(self, home: Path) -> Mapping[str, str]:
        return {}

    def counted(self, settings: Settings) -> Steps:
        return Steps(settings.home)

    def require_whole(self, settings: Settings) -> None:
        assert sealed_state(model_of(settings)) in self.states

    def require_new(self, settings: Settings) -> None:
        assert files_of(settings.home, ["models"]) == self.new


def one_model(sections: dict[str, Any]) -> dict[str, Any]:
    """The sections of params.yaml, with one model, trained for an epoch and let pass by lenient bounds."""
    trained = {**sections["train"], "models": {MODEL: {}}, "epochs": 1}
    return {**sections, "train": trained, "promote": LENIENT, "publish": {"model": MODEL}}


def model_of(settings: Settings) -> Path:
    return settings.models / MODEL / f"ds={DS}"


def reseed(home: Path, seed: int) -> None:
    path = home / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["train"]["seed"] = seed
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def retrain(nursery: Nursery, folder: Path) -> Retraining:
    """Train, change the seed, and train again."""
    home = folder / "old"
    settings = assembled(lambda *a, **k: make_home(home, *a, **k), rows=1500)
    assert nursery.start(home, "train", MODEL).wait() == 0
    states = {sealed_state(model_of(settings))}
    reseed(home, 8)
    undisturbed = Settings(home=Path(shutil.copytree(home, folder / "new")), device="cpu")
    steps = nursery.count(undisturbed.home, "train", MODEL, steps=Steps(undisturbed.home))
    new = files_of(undisturbed.home, ["models"])
    states.add(sealed_state(model_of(undisturbed)))
    assert len(states - {None}) == 2, "the seed makes no difference"
    return Retraining(home, states, new, steps)
