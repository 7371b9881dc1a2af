from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.promotion.differences import paired_differences
from pipelines.promotion.verdict import Difference
from pipelines.settings import PromoteParams
from tests.pipelines.promotion.rows import LARGE, SMALL, held_out, nearer_the_labels, shuffled
from training.comparison.bootstrap import draw
from training.metrics import auc, log_loss

PARAMS = PromoteParams(resamples=200, min_users=10)


def found(differences: tuple[Difference, ...], scenario: str | None, task: str = "click") -> Difference:
    return next(own for own in differences if (own.scenario, own.task) == (scenario, task))


def test_intervals_are_those_of_a_loop_over_draws_users_and_rows() -> None:
    rows = held_out(3, sizes={LARGE: 160, SMALL: 80}, users=25, tasks=("click", "like"))
    rows.labels[::7, 1] = np.nan
    rows.labels[rows.scenarios[SMALL], 1] = np.where(rows.user[rows.scenarios[SMALL]] < 4, 1.0, 0.0)
    params = PromoteParams(resamples=100, min_users=8, level=0.9)
    counts = draw(rows.users, 1, 100, seed=0).users

    def gain(task: int, drawn: list[int], scenario: str) -> float:
        own = [row for row in drawn if not np.isnan(rows.labels[row, task])]
        labels = rows.labels[own, task]
        if (scenario, task) == (SMALL, 1):  # only four users have a positive
            return log_loss(labels, rows.champion[own, task]) - log_loss(labels, rows.challenger[own, task])
        return auc(labels, rows.challenger[own, task]) - auc(labels, rows.champion[own, task])

    parts = {"": range(240), LARGE: range(160), SMALL: range(160, 240)}
    cells = [("", 1), *((scenario, task) for scenario in (LARGE, SMALL) for task in (0, 1))]
    values = [gain(task, list(parts[scenario]), scenario) for scenario, task in cells]
    under = [
        [
            gain(task, [row for row in parts[scenario] for _ in range(own[rows.user[row]])], scenario)
            for scenario, task in cells
        ]
        for own in counts
    ]
    errors = [np.sqrt(np.mean([(draw[i] - values[i]) ** 2 for draw in under])) for i in range(len(cells))]
    worst = [max(abs(draw[i] - values[i]) / errors[i] for i in range(len(cells))) for draw in under]
    multiple = np.quantile(worst, 0.9)

    differences = paired_differences(rows, params, "click")
    assert len(differences) == 6
    for (scenario, task), value, error in zip(cells, values, errors, strict=True):
        own = found(differences, scenario or None, rows.tasks[task])
        assert own.metric == ("log_loss" if (scenario, task) == (SMALL, 1) else "auc")
        assert own.gain == pytest.approx(value, abs=2e-6)
        assert own.low == pytest.approx(value - multiple * error, abs=2e-6)
        assert own.high == pytest.approx(value + multiple * error, abs=2e-6)


def test_target_over_all_rows_has_an_interval_of_its_own_and_comes_first() -> None:
    rows = held_out(5, sizes={LARGE: 300, SMALL: 60}, tasks=("click", "like"))
    few = replace(rows, scenarios={LARGE: rows.scenarios[LARGE]})
    first = paired_differences(rows, PARAMS, "like")[0]
    assert (first.scenario, first.task, first.tolerance) == (None, "like", 0.0)
    assert first == paired_differences(few, PARAMS, "like")[0]
    others = [found(paired_differences(own, PARAMS, "like"), LARGE) for own in (rows, few)]
    assert others[0].high > others[1].high, "more scenarios do not widen the intervals"


@pytest.mark.parametrize("seed", range(5))
def test_identical_models_always_pass_and_differ_by_nothing(seed: int) -> None:
    rows = held_out(seed, sizes={LARGE: 200, SMALL: 30, "tiny": 8}, tasks=("click", "like"))
    strict = PromoteParams(resamples=100, min_users=3, max_auc_drop=0.0, max_log_loss_rise=0.0)
    differences = paired_differences(replace(rows, challenger=rows.champion), strict, "click")
    assert len(differences) == 8
    assert {(own.gain, own.low, own.high, own.passed) for own in differences} == {(0.0, 0.0, 0.0, True)}


def test_small_scenario_that_gets_worse_blocks_though_the_total_rises() -> None:
    rows = held_out(1, sizes={LARGE: 4000, SMALL: 400}, users=300)
    differences = paired_differences(
        shuffled(nearer_the_labels(rows, LARGE), SMALL), PromoteParams(resamples=200), "click"
    )
    total, small = found(differences, None), found(differences, SMALL)
    assert total.passed
    assert total.low > 0.05
    assert not small.passed
    assert small.high < -small.tolerance
    assert small.gain < -0.1


def test_loss_within_the_tolerance_passes_and_beyond_it_does_not() -> None:
    rows = shuffled(held_out(1, sizes={LARGE: 2000, SMALL: 400}, users=300), SMALL)
    high = found(paired_differences(rows, PARAMS, "click"), SMALL).high
    for tolerance, passed in ((-high + 0.001, True), (-high - 0.001, False)):
        params = PARAMS.model_copy(update={"max_auc_drop": tolerance})
        assert found(paired_differences(rows, params, "click"), SMALL).passed is passed


def test_rows_of_too_few_users_are_not_judged_and_say_so() -> None:
    rows = held_out(1, sizes={LARGE: 2000, SMALL: 6}, users=300)
    small = found(paired_differences(shuffled(rows, SMALL), PARAMS, "click"), SMALL)
    assert small.passed
    assert small.high is None
    assert small.reason == f"{len(np.unique(rows.user[rows.scenarios[SMALL]]))} users, fewer than 10"


def test_equally_good_challengers_are_blocked_no_more_often_than_the_level_allows() -> None:
    """Both intervals are two-sided, so of 1 - level = 20% at most half is a loss; tolerances are 0."""
    params = PromoteParams(resamples=100, level=0.8, min_users=10, max_auc_drop=0.0, max_log_loss_rise=0.0)
    runs, by_target, by_others = 200, 0, 0
    for seed in range(1000, 1000 + runs):
        rows = held_out(seed, sizes={LARGE: 200, "middle": 100, SMALL: 50}, users=40)
        target, *others = paired_differences(rows, params, "click")
        by_target += not target.passed
        by_others += any(not own.passed for own in others)
    most = 0.1 * runs + 3.0 * np.sqrt(0.09 * runs)
    assert 0 < by_target <= most
    assert 0 < by_others <= most
