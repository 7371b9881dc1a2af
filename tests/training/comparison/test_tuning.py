"""A course's decisions, with losses that are made up: who is confirmed, and with which values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from training.comparison.contenders import Values
from training.comparison.networks import Network
from training.comparison.tuning import CONFIRMING_SEEDS, Budget, Finished, course
from training.comparison.units import Outcome, Unit
from training.config import TrainConfig
from training.errors import DivergedError

CONFIG = TrainConfig(seed=3)
MODEL = Network("pooled_mlp")
COMMITTED = MODEL.committed(CONFIG)
BUDGET = Budget(trials=4, seeds=2)

Loss = Callable[[bool, int], float | None]
"""Of a fit: whether its values are the committed ones, and its seed after the configured one."""


def after(loss: Loss) -> tuple[Finished, list[Unit]]:
    """A course whose fits have these losses, and all its fits in order."""
    told: list[Unit] = []

    def run(units: Sequence[Unit]) -> list[Outcome]:
        told.extend(units)
        return [
            Outcome(
                contender=unit.contender.name, values=dict(unit.values), seed=unit.seed, seconds=1.0,
                validation_loss=loss(unit.values == COMMITTED, unit.seed - CONFIG.seed),
            )
            for unit in units
        ]  # fmt: skip

    return course(MODEL, CONFIG, BUDGET, run), told


def judged(finished: Finished) -> list[Values]:
    return [unit.values for unit in finished.units]


def test_a_trial_that_was_only_lucky_is_not_taken():
    finished, told = after(lambda committed, seed: 1.1 if committed else 1.0 if seed == 0 else 1.2)
    assert judged(finished) == [COMMITTED] * 2
    assert finished.confirmation == pytest.approx((1.2, 1.1))
    assert len(told) == BUDGET.most


def test_a_trial_that_is_better_again_is_taken():
    finished, _ = after(lambda committed, seed: 1.1 if committed else 1.0)
    best = finished.trials[1].values
    assert best != COMMITTED
    assert judged(finished) == [best] * 2


def test_committed_values_that_no_trial_beat_need_no_confirmation():
    finished, told = after(lambda committed, seed: 1.0 if committed else 1.1)
    assert judged(finished) == [COMMITTED] * 2
    assert finished.confirmation is None
    assert len(told) == BUDGET.trials + BUDGET.seeds


def test_values_that_diverge_with_a_new_seed_are_not_taken():
    last = CONFIRMING_SEEDS[-1]
    finished, _ = after(lambda committed, seed: 1.1 if committed else None if seed == last else 1.0)
    assert judged(finished) == [COMMITTED] * 2
    assert finished.confirmation == (math.inf, pytest.approx(1.1))


def test_values_are_taken_when_the_committed_ones_diverge():
    finished, _ = after(lambda committed, seed: None if committed else 1.0)
    assert COMMITTED not in judged(finished)


def test_seeds_of_trials_confirmation_and_judgement_are_all_others():
    _, told = after(lambda committed, seed: 1.1 if committed else 1.0)
    seeds = [
        {unit.seed for unit in told[:4]},
        {unit.seed for unit in told[4:10]},
        {unit.seed for unit in told[10:]},
    ]
    assert [len(own) for own in seeds] == [1, 3, 2]
    assert len(set().union(*seeds)) == 6


def test_a_model_that_diverges_in_every_trial_is_an_error():
    with pytest.raises(DivergedError, match="every trial of pooled_mlp diverged"):
        after(lambda committed, seed: None)
