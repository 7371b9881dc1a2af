"""Units of work: one fit of one contender, and the store that keeps each as soon as it is done."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from training.checkpoint import identity_of
from training.comparison.contenders import Contender, Task, Values


@dataclass(frozen=True, slots=True)
class Unit:
    """One fit.

    Attributes:
        contender: who is fitted.
        values: its point of the search space.
        seed: of the fit.
        tested: whether the test rows are predicted; those of tuning are not.
    """

    contender: Contender
    values: Values
    seed: int
    tested: bool


class Outcome(BaseModel):
    """What is kept of a fit.

    Attributes:
        contender, values, seed: the unit's.
        diverged: why there is no result, where the loss became NaN or infinite.
        validation_loss: sum over tasks of the mean log loss on the validation days, nats.
        seconds: CPU time of the fit alone.
        parameters, flops_per_row: as `Fit` has them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contender: str
    values: dict[str, float]
    seed: int
    diverged: str | None = None
    validation_loss: float | None = None
    seconds: float
    parameters: int | None = None
    flops_per_row: float | None = None


class Store:
    """Outcomes in a folder: CONTENDER/IDENTITY.json, and IDENTITY.npy for predictions of the test rows.

    The identity stands for the contender, its values, seed and settings, the device and the data. It does not
    stand for code: who changes a model removes its folder.

    Args:
        folder: where.
        task: what all contenders are given.
    """

    def __init__(self, folder: Path, task: Task) -> None:
        self._folder = folder
        self._task = task

    def has(self, unit: Unit) -> bool:
        """Whether the unit is done."""
        return self._path(unit, "json").exists()

    def outcome(self, unit: Unit) -> Outcome:
        """What became of a unit that is done."""
        return Outcome.model_validate_json(self._path(unit, "json").read_bytes())

    def predictions(self, unit: Unit) -> NDArray[np.float32]:
        """The test rows' probabilities of a tested unit that is done, float32 [N_test, T]."""
        predictions: NDArray[np.float32] = np.load(self._path(unit, "npy"), allow_pickle=False)
        return predictions

    def keep(self, unit: Unit, outcome: Outcome, predictions: NDArray[np.float32] | None) -> None:
        """Store a unit's outcome. It is there once its JSON is, so that comes last."""
        if predictions is not None:
            _write(self._path(unit, "npy"), lambda path: _save(path, predictions))
        text = outcome.model_dump_json(indent=1) + "\n"
        _write(self._path(unit, "json"), lambda path: path.write_text(text, encoding="utf-8"))

    def _path(self, unit: Unit, kind: str) -> Path:
        identity = identity_of(
            contender=unit.contender.name,
            values=dict(unit.values),
            seed=unit.seed,
            tested=unit.tested,
            settings=unit.contender.settings(self._task.config),
            device=self._task.device,
            data=self._task.arrays.fingerprint,
        )
        return self._folder / unit.contender.name / f"{identity[:24]}.{kind}"


def _save(path: Path, values: NDArray[np.float32]) -> None:
    with path.open("wb") as stream:
        np.save(stream, values)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Make a file appear whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    write(draft)
    with draft.open("rb") as stream:
        os.fsync(stream.fileno())
    draft.replace(path)
