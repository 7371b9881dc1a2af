"""No model is above the limit unless it knows labels, and one that does is not published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.datasets.leaks import find_leaks
from pipelines.datasets.truth import TrueRows, true_rows
from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.train import train
from tests.pipelines.assembled import DS, assembled
from tests.pipelines.known_truth import known_truth


def _told(rows: TrueRows, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """True probabilities, moved towards the label of the first task `where` told to."""
    told = rows.probabilities.copy()
    told[where, 0] = 0.8 * told[where, 0] + 0.2 * rows.labels[where, 0]
    return told


@pytest.mark.parametrize("leak", [False, True])
def test_promote_fails_a_model_above_the_limit_only_when_a_feature_leaks(
    home: Callable[..., Path], leak: bool
) -> None:
    settings = known_truth(home, leak=leak)
    train(settings, DS, "pepnet")
    evaluate(settings, DS)

    verdict = promote(settings, DS)

    assert verdict.passed is not leak
    assert any("AUC of click over all is" in reason for reason in verdict.reasons) is leak


def test_leaks_are_none_when_scores_are_the_truth_or_a_rising_function_of_it(
    home: Callable[..., Path],
) -> None:
    settings = known_truth(home)
    true = true_rows(settings, DS).probabilities

    assert find_leaks(settings, DS, true) == ()
    assert find_leaks(settings, DS, true**3) == ()


def test_leaks_name_the_task_and_the_scenario_that_knows_its_labels(home: Callable[..., Path]) -> None:
    settings = known_truth(home)
    rows = true_rows(settings, DS)

    found = find_leaks(settings, DS, _told(rows, rows.scenario == "scenario2"))

    assert any("click in scenario2" in words for words in found)
    assert not any("like" in words or "scenario0" in words or "scenario1" in words for words in found)


def test_leaks_say_nothing_where_there_are_too_few_positives(home: Callable[..., Path]) -> None:
    settings = known_truth(home, rows=160)
    rows = true_rows(settings, DS)

    assert rows.labels[:, 0].sum() < 30
    assert find_leaks(settings, DS, _told(rows, np.ones(len(rows.labels), dtype=bool))) == ()


def test_leaks_are_none_where_no_truth_is_known(home: Callable[..., Path]) -> None:
    assert find_leaks(assembled(home), DS, np.zeros((3, 2))) == ()
