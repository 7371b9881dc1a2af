"""What scoring a list of candidates costs: the one figure of a model that a clock says."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from training.artifact import load_model
from training.data.arrays import EncodedArrays
from training.data.encode import Encoded
from training.score import score_rows

REPEATS = 20
_WARMING = 3


def scoring_milliseconds(folder: Path, arrays: EncodedArrays, candidates: int) -> float:
    """Milliseconds in which the model in `folder` scores a list of candidates for one user, on the CPU.

    The fastest of `REPEATS`: what the model needs; what is above it is other work on the machine.

    Args:
        folder: the model.
        arrays: the training set that it was trained on; its test rows are the candidates.
        candidates: how many.

    Raises:
        SealError, ArtifactError: see `load_model`.
    """
    model, _ = load_model(folder)
    rows = one_users_list(arrays, candidates)
    taken = []
    for _ in range(_WARMING + REPEATS):
        begun = time.perf_counter()
        score_rows(model, rows)
        taken.append(1e3 * (time.perf_counter() - begun))
    return min(taken[_WARMING:])


def one_users_list(arrays: EncodedArrays, candidates: int) -> Encoded:
    """Rows as `Ranker` scores them: many items, the history and the scenario of the first test row."""

    def column(name: str) -> np.ndarray:
        return arrays.column(name, "test")

    rows = np.arange(candidates) % arrays.rows("test")
    return Encoded(
        ids=column("ids")[rows],
        numeric=column("numeric")[rows],
        sequence=column("sequence")[:1],
        ages=column("ages")[:1],
        mask=column("mask")[:1],
        scenario=np.repeat(column("scenario")[:1], candidates),
    )
