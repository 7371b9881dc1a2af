"""Expected areas and errors of differences, against loops over all pairs and over many drawn logs."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.areas import auc_lead, expected_auc
from training.metrics import auc

CHANCES = st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.31, 0.8, 1.0]), min_size=2, max_size=12)


def _expected_over_pairs(chances: list[float]) -> float | None:
    ordered = total = 0.0
    for one, other in permutations(chances, 2):
        weight = one * (1.0 - other)
        ordered += weight * (1.0 if one > other else 0.5 if one == other else 0.0)
        total += weight
    return ordered / total if total > 1e-12 else None


@given(CHANCES)
def test_expected_auc_is_the_sum_over_all_pairs(chances: list[float]) -> None:
    assert expected_auc(np.array(chances)) == pytest.approx(_expected_over_pairs(chances))


def test_expected_auc_is_the_mean_of_what_is_drawn_when_there_are_many_rows() -> None:
    rng = np.random.default_rng(3)
    chances = rng.beta(1.0, 3.0, 3_000)
    drawn = [auc((rng.random(len(chances)) < chances).astype(np.int8), chances) for _ in range(60)]
    assert expected_auc(chances) == pytest.approx(np.mean(drawn), abs=3 * np.std(drawn) / np.sqrt(60))


def test_auc_lead_is_the_difference_of_two_areas_when_scores_tie() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 400)
    first, second = rng.integers(0, 9, 400) + labels, rng.normal(size=400)
    lead, _ = auc_lead(labels, first, second)
    assert lead == pytest.approx(auc(labels, first) - auc(labels, second))


def test_auc_lead_knows_its_error_when_scores_are_alike() -> None:
    """The spread of the lead over drawn logs is what one log says, shared luck included."""
    rng = np.random.default_rng(11)

    def drawn() -> tuple[float, float]:
        signal = rng.normal(size=800)
        labels = (rng.random(800) < 1.0 / (1.0 + np.exp(1.0 - signal))).astype(np.int8)
        return auc_lead(labels, signal + 0.3 * rng.normal(size=800), signal + 0.3 * rng.normal(size=800))

    leads, errors = np.array([drawn() for _ in range(300)]).T
    assert errors.mean() == pytest.approx(leads.std(), rel=0.15)
    assert abs(leads.mean()) < 4 * leads.std() / np.sqrt(300)
