from __future__ import annotations

import numpy as np
import pytest

from training.comparison.simultaneous import simultaneous_intervals


def test_intervals_hold_together_in_as_many_resamples_as_the_level_says() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=12)
    under = values + rng.normal(size=(400, 12)) * np.linspace(0.1, 10.0, 12)
    low, high = simultaneous_intervals(values, under, 0.9)
    within = ((under >= low) & (under <= high)).all(axis=1)
    assert within.mean() == pytest.approx(0.9, abs=0.01)


def test_one_value_has_the_interval_of_itself_and_more_have_wider_ones() -> None:
    under = np.random.default_rng(2).normal(size=(500, 20))
    alone = simultaneous_intervals(np.zeros(1), under[:, :1], 0.95)[1][0]
    assert alone == pytest.approx(np.quantile(np.abs(under[:, 0]), 0.95), rel=1e-9)
    together = simultaneous_intervals(np.zeros(20), under, 0.95)[1][0]
    assert together > 1.3 * alone


def test_values_that_move_together_cost_nothing() -> None:
    under = np.repeat(np.random.default_rng(3).normal(size=(500, 1)), 20, axis=1)
    alone = simultaneous_intervals(np.zeros(1), under[:, :1], 0.95)
    together = simultaneous_intervals(np.zeros(20), under, 0.95)
    assert np.allclose(together[1], alone[1])


def test_value_that_no_resample_moves_has_no_width_and_missing_answers_are_left_out() -> None:
    under = np.array([[0.5, 1.0], [0.5, np.nan], [0.5, 3.0]])
    low, high = simultaneous_intervals(np.array([0.5, 2.0]), under, 0.95)
    assert (low[0], high[0]) == (0.5, 0.5)
    assert high[1] > 2.5
