from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.comparison.bootstrap import ResampledAUC, Resamples, differences, draw, resampled_areas
from training.metrics import auc

USERS, ROWS = 30, 200


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def a_log(rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels and users; a few labels are missing."""
    labels = (rng.random(ROWS) < 0.3).astype(np.float32)
    labels[rng.integers(0, ROWS, 10)] = np.nan
    return labels, rng.integers(0, USERS, ROWS)


def some_scores(rng: np.random.Generator, seeds: int) -> list[NDArray[np.float32]]:
    """Scores with many ties."""
    return [np.round(rng.random(ROWS), 1).astype(np.float32) for _ in range(seeds)]


def test_resampled_auc_is_that_of_the_rows_written_out_as_often_as_their_user_was_drawn(rng):
    labels, user = a_log(rng)
    known = ~np.isnan(labels)
    labels, user = labels[known], user[known]
    (scores,) = some_scores(rng, 1)
    scores = scores[known]
    counts = draw(USERS, 1, 20, seed=1).users
    fast = ResampledAUC(labels, scores, user).under(counts)
    for own, value in zip(counts, fast, strict=True):
        rows = np.repeat(np.arange(len(labels)), own[user])
        assert value == pytest.approx(auc(labels[rows], scores[rows]), abs=1e-12)


def test_interval_is_that_of_a_loop_over_users_seeds_and_rows(rng):
    labels, user = a_log(rng)
    said = {"base": some_scores(rng, 3), "other": some_scores(rng, 3)}
    resamples = draw(USERS, 3, 40, seed=2)
    areas = {name: resampled_areas(labels, own, user, resamples) for name, own in said.items()}
    (found,) = differences(areas, "base").values()

    drawn = []
    for users, seeds in zip(resamples.users, resamples.seeds, strict=True):
        rows = [row for row in range(ROWS) for _ in range(users[user[row]]) if not np.isnan(labels[row])]
        gaps = [
            auc(labels[rows], said["other"][seed][rows]) - auc(labels[rows], said["base"][seed][rows])
            for seed in range(3)
            for _ in range(seeds[seed])
        ]
        drawn.append(np.mean(gaps))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    known = ~np.isnan(labels)
    gaps = [
        auc(labels[known], other[known]) - auc(labels[known], base[known])
        for other, base in zip(said["other"], said["base"], strict=True)
    ]
    assert found.difference == pytest.approx(np.mean(gaps), abs=1e-6)


def test_difference_and_interval_are_zero_when_the_predictions_are_identical(rng):
    labels, user = a_log(rng)
    said = some_scores(rng, 4)
    resamples = draw(USERS, 4, 50, seed=3)
    areas = {name: resampled_areas(labels, said, user, resamples) for name in ("base", "same")}
    assert differences(areas, "base")["same"].model_dump() == {"difference": 0.0, "low": 0.0, "high": 0.0}


def test_difference_is_certain_when_one_side_ranks_every_positive_first_and_the_other_last(rng):
    labels, user = (np.arange(ROWS) % 2).astype(np.float32), np.arange(ROWS) // 2
    resamples = draw(ROWS // 2, 1, 50, seed=3)
    areas = {
        "base": resampled_areas(labels, [-labels], user, resamples),
        "right": resampled_areas(labels, [labels], user, resamples),
    }
    assert differences(areas, "base")["right"].model_dump() == {"difference": 1.0, "low": 1.0, "high": 1.0}


def test_difference_is_none_when_the_rows_have_one_class(rng):
    labels, user = np.ones(ROWS, dtype=np.float32), np.arange(ROWS)
    resamples = draw(ROWS, 1, 10, seed=3)
    areas = {name: resampled_areas(labels, some_scores(rng, 1), user, resamples) for name in ("base", "own")}
    assert differences(areas, "base") == {"own": None}


def test_draws_keep_the_number_of_users_and_seeds_and_repeat_with_the_seed():
    one, two = draw(50, 5, 30, seed=4), draw(50, 5, 30, seed=4)
    assert isinstance(one, Resamples)
    assert (one.users.sum(axis=1) == 50).all()
    assert (one.seeds.sum(axis=1) == 5).all()
    assert np.array_equal(one.users, two.users)
    assert (one.users > 1).any()
