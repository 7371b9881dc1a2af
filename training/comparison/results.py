"""Results of a comparison, as they are committed: a page can be written of them without fitting anything."""

from __future__ import annotations

from math import inf

from pydantic import BaseModel, ConfigDict

DIGITS = 6
"""More than any test set can tell apart, and few enough to compare by eye."""

BASES = ("shared_bottom", "mmoe", "lightgbm")
"""Whom the others are compared with: a network without experts or dynamic weights, one that has as many
weights as most dynamic ones but in experts, and no network at all."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Frozen):
    """A figure over the seeds; `sd` is the sample's standard deviation, null of a single seed."""

    mean: float
    sd: float | None


class TaskResult(_Frozen):
    """One task on one set of test rows; a figure is null where the rows have no answer.

    Attributes:
        rows, positives: how many.
        auc, gauc, log_loss, calibration_error: as in training.evaluation, over the seeds.
    """

    rows: int
    positives: int
    auc: Spread | None
    gauc: Spread | None
    log_loss: Spread | None
    calibration_error: Spread | None


class Difference(_Frozen):
    """AUC less another contender's: mean over seeds, and the bounds of 95 in 100 resamples."""

    difference: float
    low: float
    high: float


class Trial(_Frozen):
    """A point that was tried in tuning; the loss is null where training diverged."""

    values: dict[str, float]
    validation_loss: float | None


class ContenderResult(_Frozen):
    """One contender.

    Attributes:
        trials: all of tuning, the committed values first.
        confirmation: mean validation loss with new seeds of the best of them and of the committed values,
            null where a fit diverged; none at all where the committed values were the best.
        values: those with which the judged fits were made.
        overall: by task.
        macro_auc: by task, mean over scenarios.
        scenarios: by scenario, then task; most rows first.
        slices: by slice (see training/comparison/slices.py), then task.
        against: by the other contender, then task; null where the task has no AUC.
        parameters: numbers learnt.
        flops_per_row: of scoring; null for trees.
        seconds: CPU time of one fit with the best values.
    """

    trials: tuple[Trial, ...]
    confirmation: tuple[float | None, ...] | None = None
    values: dict[str, float]
    overall: dict[str, TaskResult]
    macro_auc: dict[str, Spread | None]
    scenarios: dict[str, dict[str, TaskResult]]
    slices: dict[str, dict[str, TaskResult]]
    against: dict[str, dict[str, Difference | None]]
    parameters: int
    flops_per_row: float | None
    seconds: Spread

    @property
    def validation_loss(self) -> float:
        """That of the trial whose values were kept, infinite where it diverged."""
        loss = next(trial.validation_loss for trial in self.trials if trial.values == self.values)
        return inf if loss is None else loss


class Comparison(_Frozen):
    """A comparison on one data set.

    Attributes:
        dataset, ds, service, data: what it was made on; `data` is the fingerprint of the encoded arrays.
        tasks: in order; lists are ranked by the first.
        days, rows: by split.
        trials, seeds, epochs, patience, batch_size: what each contender was given.
        auxiliary_weight: of the auxiliary tasks in the networks' loss; 0 where they learnt none.
        resamples: of the bootstrap.
        min_positives: rows with fewer positives or negatives have no AUC.
        machine: where it was made, with the versions of the libraries.
        contenders: by name.
        finalists: how many models of an earlier comparison, the best on its validation days, met again beside
            the bases; none where nobody was chosen.
        limits: by scenario, then task, the best AUC that any model can reach; where it is known.
    """

    dataset: str
    ds: str
    service: str
    data: str
    tasks: tuple[str, ...]
    days: dict[str, tuple[str, str]]
    rows: dict[str, int]
    trials: int
    seeds: int
    epochs: int
    patience: int
    batch_size: int
    auxiliary_weight: float = 0.0
    resamples: int
    min_positives: int
    machine: dict[str, str]
    contenders: dict[str, ContenderResult]
    finalists: int | None = None
    limits: dict[str, dict[str, float]] | None = None

    @property
    def name(self) -> str:
        """Of its files and its part of the page: the data set, and whether it is a final."""
        return self.dataset if self.finalists is None else f"{self.dataset}-final"

    def best(self, count: int) -> list[str]:
        """The `count` models with the lowest validation loss beside the bases, the best first."""
        models = [name for name in self.contenders if name not in BASES]
        return sorted(models, key=lambda name: self.contenders[name].validation_loss)[:count]
