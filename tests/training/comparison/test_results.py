from __future__ import annotations

from math import inf

from tests.training.comparison.comparisons import comparison, contender
from training.comparison.results import Trial


def with_losses(kept: float | None, other: float):
    trials = (
        Trial(values={"lr": 0.001}, validation_loss=other),
        Trial(values={"lr": 2}, validation_loss=kept),
    )
    return contender(0.7, {}).model_copy(update={"trials": trials, "values": {"lr": 2}})


def test_a_contenders_loss_is_that_of_the_values_it_kept():
    assert with_losses(1.2, 1.1).validation_loss == 1.2
    assert with_losses(None, 1.1).validation_loss == inf


def test_the_best_are_models_by_validation_loss_and_no_bases():
    contenders = {
        "shared_bottom": with_losses(0.1, 0.1), "one": with_losses(1.2, 0.2), "two": with_losses(None, 0.3),
        "three": with_losses(1.1, 1.4), "lightgbm": with_losses(0.2, 0.2),
    }  # fmt: skip
    whole = comparison("simulated").model_copy(update={"contenders": contenders})
    assert whole.best(2) == ["three", "one"]
    assert whole.best(9) == ["three", "one", "two"]


def test_a_final_has_a_name_of_its_own():
    assert comparison("simulated").name == "simulated"
    assert comparison("simulated").model_copy(update={"finalists": 2}).name == "simulated-final"
