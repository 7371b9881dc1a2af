"""The yardstick: gradient-boosted trees on the same encoded rows, one for each task.

A deep ranker that does not beat it is not worth its weights.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.data.arrays import EncodedArrays
from training.evaluation import training_rates

ROUNDS = 600
PATIENCE = 40
MAX_CATEGORIES = 256
"""Larger vocabularies (users, items) are left out: trees memorise ids that have a handful of rows each,
and what can be learnt of them is already in their engagement features."""
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "cat_smooth": 50.0,
    "verbosity": -1,
    # The same trees twice, whatever the machine's number of cores.
    "deterministic": True,
    "force_row_wise": True,
}


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """Fitted trees, an ensemble a task.

    Attributes:
        boosters: in order of the tasks; None where the training days have one class only.
        rates: share of positives in the training days, [T]; what is said where there is no ensemble.
    """

    boosters: tuple[lightgbm.Booster | None, ...]
    rates: NDArray[np.float64]

    def predict(self, arrays: EncodedArrays, split: str) -> NDArray[np.float32]:
        """Probabilities of the rows of `split`, float32 [N, T]."""
        columns = _columns(arrays, split)
        predictions = np.empty((len(columns), len(self.rates)), dtype=np.float32)
        for task, (booster, rate) in enumerate(zip(self.boosters, self.rates, strict=True)):
            predictions[:, task] = (
                rate if booster is None else booster.predict(columns, num_iteration=booster.best_iteration)
            )
        return predictions

    @property
    def nodes(self) -> int:
        """Splits and leaves of all trees that predict: the numbers that were learnt."""
        ensembles = [
            booster.dump_model(num_iteration=booster.best_iteration)["tree_info"]
            for booster in self.boosters
            if booster is not None
        ]
        return sum(2 * tree["num_leaves"] - 1 for trees in ensembles for tree in trees)


def boosted_predictions(arrays: EncodedArrays, seed: int) -> NDArray[np.float32]:
    """Probabilities of the test rows, float32 [N_test, T]; trees stop growing on the validation days."""
    return boost(arrays, seed, {}, threads=len(os.sched_getaffinity(0))).predict(arrays, "test")


def boost(arrays: EncodedArrays, seed: int, parameters: Mapping[str, float], *, threads: int) -> BoostedTrees:
    """Grow the trees of every task; each task stops on its own log loss on the validation days.

    Args:
        arrays: the training set.
        seed: of the sampling of rows and columns.
        parameters: LightGBM's, in place of those of `PARAMETERS`.
        threads: how many to use; the trees do not depend on it.
    """
    columns = {split: _columns(arrays, split) for split in ("train", "validation")}
    categories = list(range(len(arrays.encoder.spec.numerics) + 2, columns["train"].shape[1]))
    rates = training_rates(arrays)
    boosters: list[lightgbm.Booster | None] = []
    for task, rate in enumerate(rates):
        if rate in (0.0, 1.0):
            boosters.append(None)  # one class only: there is nothing to split on
            continue
        parts = {
            split: _labelled(columns[split], arrays.column("labels", split)[:, task], categories)
            for split in ("train", "validation")
        }
        boosters.append(
            lightgbm.train(
                PARAMETERS | dict(parameters) | {"seed": seed, "num_threads": threads},
                parts["train"],
                num_boost_round=ROUNDS,
                valid_sets=[parts["validation"]],
                callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
            )
        )
    return BoostedTrees(tuple(boosters), rates)


def _columns(arrays: EncodedArrays, split: str) -> NDArray[np.float32]:
    """Numbers, length and newest age of the history, then the small vocabularies' indices: [N, F]."""
    spec = arrays.encoder.spec
    small = [
        position for position, field in enumerate(spec.ids) if spec.tables[field.table] <= MAX_CATEGORIES
    ]
    mask = arrays.column("mask", split)
    history = mask.sum(axis=1, dtype=np.float32)
    newest = np.where(history > 0, arrays.column("ages", split)[:, :1].sum(axis=1), np.nan)
    return np.concatenate(
        [
            arrays.column("numeric", split),
            history[:, None],
            newest[:, None],
            arrays.column("ids", split)[:, small],
        ],
        axis=1,
        dtype=np.float32,
    )


def _labelled(
    columns: NDArray[np.float32], labels: NDArray[np.float32], categories: list[int]
) -> lightgbm.Dataset:
    known = ~np.isnan(labels)
    return lightgbm.Dataset(columns[known], label=labels[known], categorical_feature=categories)
