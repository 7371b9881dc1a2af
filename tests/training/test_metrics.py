from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from training.metrics import auc, calibration, calibration_error, gauc, log_loss, pairs

# Few distinct scores, so that most cases have ties.
ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.25, 0.5, 0.9]), st.integers(0, 3)), max_size=40
)


def columns(rows):
    labels, scores, groups = zip(*rows, strict=True) if rows else ((), (), ())
    return (
        np.array(labels, dtype=np.float32),
        np.array(scores, dtype=np.float32),
        np.array(groups, dtype=np.int64),
    )


def auc_by_pairs(labels, scores) -> float | None:
    positives, negatives = scores[labels == 1], scores[labels == 0]
    if not len(positives) or not len(negatives):
        return None
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p, n in product(positives, negatives)]
    return sum(wins) / len(wins)


@given(ROWS)
def test_auc_equals_counting_all_pairs(rows):
    labels, scores, _ = columns(rows)
    assert auc(labels, scores) == pytest.approx(auc_by_pairs(labels, scores))


@given(ROWS)
def test_gauc_equals_the_weighted_mean_over_groups(rows):
    labels, scores, groups = columns(rows)
    areas, weights = [], []
    for group in set(groups.tolist()):
        area = auc_by_pairs(labels[groups == group], scores[groups == group])
        if area is not None:
            areas.append(area)
            weights.append((groups == group).sum())
    expected = float(np.average(areas, weights=weights)) if areas else None
    assert gauc(labels, scores, groups) == pytest.approx(expected)


@given(ROWS, st.randoms())
def test_metrics_do_not_depend_on_the_order_of_rows(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    for metric in (auc, log_loss, calibration, calibration_error):
        assert metric(*columns(rows)[:2]) == pytest.approx(metric(*columns(shuffled)[:2]), abs=1e-9)
    assert gauc(*columns(rows)) == pytest.approx(gauc(*columns(shuffled)))


def test_auc_and_log_loss_equal_sklearn_on_many_rows():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 5000), np.round(rng.random(5000), 2)
    assert auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))
    assert log_loss(labels, scores * 0.98 + 0.01) == pytest.approx(sk.log_loss(labels, scores * 0.98 + 0.01))


def test_log_loss_stays_finite_when_a_certain_prediction_is_wrong():
    assert log_loss(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(-np.log(1e-7), rel=1e-6)


def test_calibration_is_the_ratio_of_predicted_to_seen_positives():
    assert calibration(np.array([1, 0, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5])) == 1.0
    assert calibration(np.array([0, 0]), np.array([0.5, 0.5])) is None


def test_calibration_error_is_small_for_true_probabilities_and_large_for_inflated_ones():
    rng = np.random.default_rng(0)
    probabilities = rng.random(50_000)
    labels = rng.random(50_000) < probabilities
    assert calibration_error(labels, probabilities) < 0.01
    assert calibration_error(labels, np.sqrt(probabilities)) > 0.1


def test_calibration_error_of_a_constant_is_its_distance_from_the_rate():
    assert calibration_error(np.array([1, 0, 0, 0]), np.full(4, 0.75)) == pytest.approx(0.5)


def test_pairs_numbers_each_combination_once():
    numbers = pairs(np.array([0, 0, 1, 1, 0]), np.array([3, 4, 3, 4, 3]))
    assert numbers[0] == numbers[4]
    assert len(set(numbers.tolist())) == 4
