"""One contender's way through the comparison: its trials one after the other, then the seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import optuna
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from training.comparison.contenders import Contender
from training.comparison.units import Outcome, Unit
from training.config import TrainConfig
from training.errors import DivergedError

RANDOM_TRIALS = 4
"""Trials before the sampler looks at results; the committed values are the first of them."""

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


@dataclass(frozen=True, slots=True)
class Finished:
    """A contender at the end of its course.

    Attributes:
        trials: outcomes, in order.
        units, outcomes: the fits that are judged, one a seed.
    """

    trials: tuple[Outcome, ...]
    units: tuple[Unit, ...]
    outcomes: tuple[Outcome, ...]


def course(contender: Contender, config: TrainConfig, budget: Budget, run: Run) -> Finished:
    """Tune, then fit with the best values once for each seed.

    The first trial has the committed values, so that tuning cannot end below them on the validation days.
    The others come from the tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter
    Optimization, NIPS 2011, section 4). Its choices depend on the seed and on what it was told before: after
    a kill, the same outcomes lead to the same next trial.

    A trial is judged by the log loss of the validation days, summed over tasks: training minimises it and
    stops by it, and a task with few positives adds little noise to it, unlike to a mean of AUCs. The seeds of
    the judged fits are none that tuning has seen, so that no lucky one is chosen together with the values.

    Raises:
        DivergedError: no trial ended in a finite loss.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = contender.space(config)
    study = optuna.create_study(sampler=TPESampler(seed=config.seed, n_startup_trials=RANDOM_TRIALS))
    study.enqueue_trial(dict(contender.committed(config)))
    trials: list[Outcome] = []
    for _ in range(budget.trials):
        trial = study.ask(space)
        (outcome,) = run([Unit(contender, trial.params, config.seed, tested=False)])
        trials.append(outcome)
        if outcome.validation_loss is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, outcome.validation_loss)
    if all(outcome.validation_loss is None for outcome in trials):
        raise DivergedError(f"every trial of {contender.name} diverged; the last: {trials[-1].diverged}")
    units = [
        Unit(contender, study.best_params, config.seed + number, tested=True)
        for number in range(1, budget.seeds + 1)
    ]
    return Finished(tuple(trials), tuple(units), tuple(run(units)))
