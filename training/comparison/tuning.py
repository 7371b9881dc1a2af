"""One contender's way through the comparison: trials one by one, the best confirmed, then the seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeAlias

import optuna
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from training.comparison.contenders import Contender, Values
from training.comparison.units import Outcome, Unit
from training.config import TrainConfig
from training.errors import DivergedError

RANDOM_TRIALS = 4
"""Trials before the sampler looks at results; the committed values are the first of them."""
CONFIRMING_SEEDS = range(1001, 1004)
"""Seeds, counted from the configured one, that the best trial has to beat the committed values with again."""

Run: TypeAlias = Callable[[Sequence[Unit]], Sequence[Outcome]]
"""Does units, side by side where it can, and returns their outcomes in order."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What each contender may spend.

    Attributes:
        trials: points of its search space that it is fitted at, the committed one included.
        seeds: fits with the best of them, whose predictions of the test days are judged.
    """

    trials: int
    seeds: int

    @property
    def most(self) -> int:
        """Fits that a contender has at most."""
        return self.trials + 2 * len(CONFIRMING_SEEDS) + self.seeds


@dataclass(frozen=True, slots=True)
class Finished:
    """A contender at the end of its course.

    Attributes:
        trials: outcomes, in order.
        confirmation: mean validation loss with new seeds of the best trial's values and the committed ones,
            infinite where a fit diverged; None where the committed ones were the best.
        units, outcomes: the fits that are judged, one a seed.
    """

    trials: tuple[Outcome, ...]
    confirmation: tuple[float, float] | None
    units: tuple[Unit, ...]
    outcomes: tuple[Outcome, ...]


def course(contender: Contender, config: TrainConfig, budget: Budget, run: Run) -> Finished:
    """Tune, then fit with the best values once for each seed.

    The first trial has the committed values. The others come from the tree-structured Parzen estimator
    (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NIPS 2011, section 4). Its choices depend
    on the seed and on what it was told before: after a kill, the same outcomes lead to the same next trial.

    A trial is judged by the log loss of the validation days, summed over tasks: training minimises it and
    stops by it, and a task with few positives adds little noise to it, unlike to a mean of AUCs. The best of
    many trials is also the luckiest. So where it is not the committed one, both are fitted with new seeds,
    and it is taken only if its mean loss is lower still. The seeds of the judged fits are others again.

    Raises:
        DivergedError: no trial ended in a finite loss.
    """
    committed = contender.committed(config)
    trials, values = _tune(contender, config, budget.trials, run)
    confirmation = None
    if values != committed:
        again, base = (_mean_loss(contender, each, config.seed, run) for each in (values, committed))
        confirmation = (again, base)
        if base <= again:
            values = committed
    units = [
        Unit(contender, values, config.seed + number, tested=True) for number in range(1, budget.seeds + 1)
    ]
    return Finished(tuple(trials), confirmation, tuple(units), tuple(run(units)))


def _tune(contender: Contender, config: TrainConfig, count: int, run: Run) -> tuple[list[Outcome], Values]:
    """The outcomes of `count` trials, the committed values first, and the values of the best."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = contender.space(config)
    study = optuna.create_study(sampler=TPESampler(seed=config.seed, n_startup_trials=RANDOM_TRIALS))
    study.enqueue_trial(dict(contender.committed(config)))
    trials: list[Outcome] = []
    for _ in range(count):
        trial = study.ask(space)
        (outcome,) = run([Unit(contender, trial.params, config.seed, tested=False)])
        trials.append(outcome)
        if outcome.validation_loss is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, outcome.validation_loss)
    if all(outcome.validation_loss is None for outcome in trials):
        raise DivergedError(f"every trial of {contender.name} diverged; the last: {trials[-1].diverged}")
    return trials, study.best_params


def _mean_loss(contender: Contender, values: Values, seed: int, run: Run) -> float:
    """Mean validation loss with the confirming seeds; infinite where a fit diverged."""
    outcomes = run([Unit(contender, values, seed + more, tested=False) for more in CONFIRMING_SEEDS])
    losses = (outcome.validation_loss for outcome in outcomes)
    return fmean(math.inf if loss is None else loss for loss in losses)
