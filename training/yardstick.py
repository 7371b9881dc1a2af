"""The yardstick: gradient-boosted trees on the same encoded rows, one for each task.

A deep ranker that does not beat it is not worth its weights.
"""

from __future__ import annotations

import os
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


def boosted_predictions(arrays: EncodedArrays, seed: int) -> NDArray[np.float32]:
    """Probabilities of the test rows, float32 [N_test, T]; trees stop growing on the validation days."""
    columns = {split: _columns(arrays, split) for split in ("train", "validation", "test")}
    categories = list(range(len(arrays.encoder.spec.numerics) + 2, columns["train"].shape[1]))
    rates = training_rates(arrays)
    predictions = np.empty((arrays.rows("test"), len(rates)), dtype=np.float32)
    for task, rate in enumerate(rates):
        if rate in (0.0, 1.0):
            predictions[:, task] = rate  # one class only: there is nothing to split on
            continue
        parts = {
            split: _labelled(columns[split], arrays.column("labels", split)[:, task], categories)
            for split in ("train", "validation")
        }
        booster = lightgbm.train(
            PARAMETERS | {"seed": seed, "num_threads": len(os.sched_getaffinity(0))},
            parts["train"],
            num_boost_round=ROUNDS,
            valid_sets=[parts["validation"]],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        predictions[:, task] = booster.predict(columns["test"], num_iteration=booster.best_iteration)
    return predictions


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
