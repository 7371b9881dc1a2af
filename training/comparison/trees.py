"""LightGBM as a contender: the same columns, the same number of trials."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from training.comparison.contenders import Task, Values
from training.config import TrainConfig
from training.metrics import log_loss
from training.yardstick import PARAMETERS, PATIENCE, ROUNDS, BoostedTrees, boost

_SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(0.02, 0.15, log=True),
    "num_leaves": IntDistribution(7, 127, log=True),
    "min_data_in_leaf": IntDistribution(20, 500, log=True),
    "lambda_l2": FloatDistribution(0.1, 100.0, log=True),
    "feature_fraction": FloatDistribution(0.3, 1.0),
}


@dataclass(frozen=True)
class TreesFit:
    """Fitted trees."""

    trees: BoostedTrees
    task: Task
    flops_per_row: None = None
    """Trees compare and branch; they hardly multiply."""

    @cached_property
    def validation_loss(self) -> float:
        labels = self.task.arrays.column("labels", "validation")
        predictions = self.trees.predict(self.task.arrays, "validation")
        total = 0.0
        for own, said in zip(labels.T, predictions.T, strict=True):
            known = ~np.isnan(own)
            total += log_loss(own[known], said[known]) or 0.0
        return total

    @property
    def parameters(self) -> int:
        return self.trees.nodes

    def predict_test(self) -> NDArray[np.float32]:
        return self.trees.predict(self.task.arrays, "test")


@dataclass(frozen=True)
class Trees:
    """LightGBM, an ensemble a task."""

    name: str = "lightgbm"

    def space(self, config: TrainConfig) -> dict[str, BaseDistribution]:
        return _SPACE

    def committed(self, config: TrainConfig) -> Values:
        return {name: PARAMETERS[name] for name in _SPACE}

    def settings(self, config: TrainConfig) -> dict[str, object]:
        fixed = {name: value for name, value in PARAMETERS.items() if name not in _SPACE}
        return {"fixed": fixed, "rounds": ROUNDS, "patience": PATIENCE, "lightgbm": version("lightgbm")}

    def fit(self, task: Task, values: Values, seed: int) -> TreesFit:
        return TreesFit(boost(task.arrays, seed, values, threads=1), task)
