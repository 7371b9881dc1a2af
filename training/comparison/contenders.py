"""What is compared: something that is fitted to the training days with values of its search space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from training.config import TrainConfig
from training.data.arrays import EncodedArrays

Values: TypeAlias = Mapping[str, float]
"""One point of a search space: name of the hyperparameter to its value."""


class Fit(Protocol):
    """A fitted contender.

    Attributes:
        validation_loss: sum over tasks of the mean log loss on the validation days, nats.
        parameters: numbers that were learnt.
        flops_per_row: multiplications and additions of scoring a row; None where they are not the cost.
    """

    @property
    def validation_loss(self) -> float: ...
    @property
    def parameters(self) -> int: ...
    @property
    def flops_per_row(self) -> float | None: ...

    def predict_test(self) -> NDArray[np.float32]:
        """Probabilities of the test rows, float32 [N_test, T]."""


@dataclass(frozen=True, slots=True)
class Task:
    """What every contender is given, the same for all.

    Attributes:
        arrays: the training set.
        config: hyperparameters that nobody tunes, and the committed values of the others.
        device: "auto", "cpu" or "cuda".
    """

    arrays: EncodedArrays
    config: TrainConfig
    device: str


class Contender(Protocol):
    """One row of the comparison. Fitting reads the training and the validation days, never the test days."""

    @property
    def name(self) -> str: ...

    def space(self, config: TrainConfig) -> dict[str, BaseDistribution]:
        """What is tuned, and in which bounds; `committed` always lies within."""

    def committed(self, config: TrainConfig) -> Values:
        """The values that are used when nothing is tuned."""

    def settings(self, config: TrainConfig) -> dict[str, object]:
        """Everything else that the fit depends on, as JSON values."""

    def fit(self, task: Task, values: Values, seed: int) -> Fit:
        """Fit to the training days on one thread, and stop by the validation days.

        Raises:
            DivergedError: the loss became NaN or infinite with these values.
        """
