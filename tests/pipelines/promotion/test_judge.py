from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from pipelines.errors import SettingsError
from pipelines.promotion.heldout import HeldOut
from pipelines.promotion.judge import Challenger, judge
from pipelines.promotion.scores import score_psi
from pipelines.promotion.table import promotion_table
from pipelines.promotion.verdict import Champion, Promotion
from pipelines.settings import PromoteParams
from tests.pipelines.promotion.rows import LARGE, SMALL, held_out, nearer_the_labels, shuffled
from training.evaluation import ModelMetrics, TaskMetrics

PARAMS = PromoteParams(resamples=200)
CHAMPION = Champion(
    model="pepnet", version="v2.0.0", ds="2026-01-01", hashes="1" * 64, production=True, metrics=None
)


@pytest.fixture(scope="module")
def rows() -> HeldOut:
    return held_out(1, sizes={LARGE: 4000, SMALL: 400}, users=300)


def metrics(log_loss: float = 0.5) -> ModelMetrics:
    own = TaskMetrics(
        rows=100, positives=30, auc=0.7, gauc=0.7, gauc_user=0.7, log_loss=log_loss,
        constant_log_loss=0.6, calibration=1.0, calibration_error=0.0,
    )  # fmt: skip
    return ModelMetrics(overall={"click": own}, macro_auc={"click": 0.7}, scenarios={})


def judged(
    rows: HeldOut,
    params: PromoteParams = PARAMS,
    *,
    log_loss: float = 0.5,
    leaks: Sequence[str] = (),
    quick: bool = True,
    champion: Champion | None = CHAMPION,
) -> Promotion:
    challenger = Challenger(
        dataset="simulated", ds="2026-01-02", model="pepnet", hashes="0" * 64, data="d" * 16,
        metrics=metrics(log_loss), leaks=leaks, quick=quick,
    )  # fmt: skip
    return judge(challenger, champion, rows, params)


def test_equal_models_pass_every_bound(rows: HeldOut) -> None:
    verdict = judged(replace(rows, challenger=rows.champion))
    assert verdict.passed
    assert verdict.reasons == ()
    assert verdict.target == "click"


def test_reason_names_scenario_numbers_interval_and_bound_when_a_small_scenario_gets_worse(
    rows: HeldOut,
) -> None:
    verdict = judged(
        shuffled(nearer_the_labels(rows, LARGE), SMALL), PARAMS.model_copy(update={"max_psi": 9.0})
    )
    small = next(own for own in verdict.differences if own.scenario == SMALL)
    assert not verdict.passed
    (reason,) = verdict.reasons
    for part in (
        f"AUC of click in scenario small fell from {small.champion:.4f} of pepnet@v2.0.0",
        f"to {small.challenger:.4f} on the same 400 rows of {small.users} users, by {-small.gain:.4f}",
        f"(95% interval {-small.high:.4f} to {-small.low:.4f})",
        "promote.max_auc_drop tolerates 0.005",
    ):
        assert part in reason


def test_target_blocks_by_its_own_bound_when_it_falls_over_all_rows(rows: HeldOut) -> None:
    verdict = judged(shuffled(rows, LARGE), PARAMS.model_copy(update={"max_auc_drop": 1.0}))
    assert any("AUC of click over all fell" in why and "max_target_drop" in why for why in verdict.reasons)


def test_challenger_without_a_champion_is_held_to_the_bounds_that_need_none(rows: HeldOut) -> None:
    first = judged(replace(rows, champion=None), champion=None)
    assert first.passed
    assert first.differences == ()
    assert first.scores[0].psi is None
    assert not judged(replace(rows, champion=None), champion=None, log_loss=0.6).passed


def test_model_that_is_no_better_than_a_constant_is_refused(rows: HeldOut) -> None:
    verdict = judged(replace(rows, challenger=rows.champion), log_loss=0.6)
    assert not verdict.passed
    assert "log loss of click is 0.6000, no better than 0.6000" in verdict.reasons[0]


def test_leak_is_refused_in_its_own_words(rows: HeldOut) -> None:
    assert judged(replace(rows, challenger=rows.champion), leaks=("it knows",)).reasons == ("it knows",)


def test_slow_model_is_refused_and_the_verdict_has_no_clocks_number(rows: HeldOut) -> None:
    slow, quick = (judged(replace(rows, challenger=rows.champion), quick=quick) for quick in (False, True))
    assert [slow.passed, quick.passed] == [False, True]
    assert "500 candidates is not scored within 250 ms" in slow.reasons[0]


def test_scores_that_are_not_finite_are_refused_without_comparing_them(rows: HeldOut) -> None:
    broken = rows.challenger.copy()
    broken[3, 0] = np.nan
    verdict = judged(replace(rows, challenger=broken))
    assert not verdict.passed
    assert "not finite" in verdict.reasons[0]
    assert verdict.differences == verdict.calibrations == ()
    assert Promotion.model_validate_json(verdict.model_dump_json()) == verdict


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda scores: np.full_like(scores, 0.25), "all scores of click are 0.25, which ranks nothing"),
        (lambda scores: np.where(scores > 0.8, np.float32(1.0), scores), "are 0 or 1 but for rounding"),
        (lambda scores: scores**3, "distributed otherwise than the champion's, PSI"),
    ],
)
def test_scores_that_are_distributed_strangely_are_refused(rows: HeldOut, change, words: str) -> None:
    verdict = judged(replace(rows, challenger=change(rows.champion)))
    assert not verdict.passed
    assert any(words in reason for reason in verdict.reasons)


def test_psi_is_that_of_tenths_of_the_champions_scores() -> None:
    champion = np.arange(1000, dtype=np.float32) / 1000
    assert score_psi(champion, champion) == 0.0
    moved = np.concatenate([champion[:500], champion[:500]])  # the upper five tenths are empty now
    floor = 1e-4
    assert score_psi(champion, moved) == pytest.approx(
        5 * 0.1 * np.log(2.0) + 5 * (0.1 - floor) * np.log(0.1 / floor), rel=0.2
    )


def test_calibration_is_bounded_where_there_are_enough_positives(rows: HeldOut) -> None:
    first = replace(rows, challenger=np.clip(1.4 * rows.challenger, 0.0, 0.999), champion=None)
    verdict = judged(first, champion=None)
    overall, large, small = verdict.calibrations
    assert (overall.scenario, large.scenario, small.scenario) == (None, LARGE, SMALL)
    assert 1.25 < overall.challenger < 1.5
    assert [overall.passed, large.passed, small.passed] == [False, True, True]
    assert "click over all is predicted 1." in verdict.reasons[0]
    assert small.reason == f"{small.positives} positives, fewer than 200"
    assert judged(first, PARAMS.model_copy(update={"max_calibration": 1.5}), champion=None).passed


def test_calibration_outside_the_bounds_passes_when_the_champions_is_as_far_outside(rows: HeldOut) -> None:
    off = np.clip(1.4 * rows.challenger, 0.0, 0.999)
    assert judged(replace(rows, challenger=off, champion=off)).passed
    assert not judged(replace(rows, challenger=off, champion=rows.challenger)).passed


def test_table_shows_what_blocks_within_80_columns_and_nothing_that_was_not_judged(rows: HeldOut) -> None:
    tiny = replace(rows, scenarios={**rows.scenarios, "tiny": rows.scenarios[SMALL][:5]})
    screen = Console(file=StringIO(), width=80)
    screen.print(promotion_table(judged(shuffled(tiny, SMALL))))
    text = screen.file.getvalue()
    assert "pepnet of 2026-01-02 against pepnet@v2.0.0: did not pass" in text
    shown = [line.split()[1] for line in text.splitlines() if "AUC" in line]
    assert shown == ["all", "small", "large"]
    assert "tiny" not in text


def test_target_that_is_no_task_is_refused(rows: HeldOut) -> None:
    with pytest.raises(SettingsError, match=r"promote\.target 'buy' is not a task; choose from click"):
        judged(rows, PARAMS.model_copy(update={"target": "buy"}))
