"""What speaks against a challenger, in words: the thing, its numbers, the bound and where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipelines.promotion.verdict import Calibration, Champion, Difference, Scores
from pipelines.settings import PromoteParams
from training.evaluation import ModelMetrics

METRICS = {"auc": "AUC", "log_loss": "log loss"}


def of_constant(metrics: ModelMetrics) -> Iterator[str]:
    """Tasks that a constant predicts as well."""
    for task, own in metrics.overall.items():
        if own.log_loss is None or own.constant_log_loss is None:
            yield f"no held-out row has a label of {task}, so nothing is known of it"
        elif own.log_loss >= own.constant_log_loss:
            yield (
                f"log loss of {task} is {own.log_loss:.4f}, no better than {own.constant_log_loss:.4f}, "
                "which always predicting the rate of the training days gives"
            )


def of_differences(
    differences: Iterable[Difference], champion: Champion | None, target: str, level: float
) -> Iterator[str]:
    """Where the challenger is worse than the champion by more than luck and the tolerance."""
    for own in differences:
        if own.passed or champion is None or own.gain is None or own.low is None or own.high is None:
            continue
        bound = "max_log_loss_rise"
        if own.metric == "auc":
            bound = "max_target_drop" if own.scenario is None and own.task == target else "max_auc_drop"
        change = "fell" if own.metric == "auc" else "rose"
        yield (
            f"{METRICS[own.metric]} of {own.task} {place(own.scenario)} {change} from {own.champion:.4f} of "
            f"{champion.tag} to {own.challenger:.4f} on the same {own.rows:,} rows of {own.users:,} users, "
            f"by {-own.gain:.4f} ({level:.0%} interval {-own.high:.4f} to {-own.low:.4f}); "
            f"promote.{bound} tolerates {own.tolerance:g}"
        )


def of_calibrations(calibrations: Iterable[Calibration], params: PromoteParams) -> Iterator[str]:
    """Where predicted and observed positives differ too much."""
    for own in calibrations:
        if not own.passed and own.challenger is not None:
            bound = params.calibration_bound(own.scenario)
            beside = "" if own.champion is None else f" (the champion: {own.champion:.3f})"
            yield (
                f"{own.task} {place(own.scenario)} is predicted {own.challenger:.3f} times as often as it is "
                f"observed, {own.positives:,} times{beside}; "
                f"promote.{'max_calibration' if own.scenario is None else 'max_scenario_calibration'} allows "
                f"{1.0 / bound:.3f} to {bound:.3f}"
            )


def of_scores(scores: Iterable[Scores], params: PromoteParams) -> Iterator[str]:
    """Scores that are no probabilities, or not those of a model like the champion."""
    for own in scores:
        if own.lowest is None or own.saturated is None:
            yield f"some scores of {own.task} are not finite; train the model again"
            continue
        if own.lowest == own.highest:
            yield f"all scores of {own.task} are {own.lowest:g}, which ranks nothing"
        if own.saturated > params.max_saturated:
            yield (
                f"{own.saturated:.1%} of the scores of {own.task} are 0 or 1 but for rounding; "
                f"promote.max_saturated allows {params.max_saturated:.1%}"
            )
        if own.psi is not None and own.psi > params.max_psi:
            yield (
                f"scores of {own.task} are distributed otherwise than the champion's, PSI {own.psi:.3f}; "
                f"promote.max_psi allows {params.max_psi:g}"
            )


def of_latency(quick: bool, params: PromoteParams) -> Iterator[str]:
    """A model that ranks too slowly. How slowly is the clock's to say, and no part of the verdict."""
    if not quick:
        yield (
            f"a list of {params.candidates:,} candidates is not scored within {params.max_latency_ms:g} ms, "
            "promote.max_latency_ms; the note of the stage, runs/DATASET/promote.json, has the time"
        )


def place(scenario: str | None) -> str:
    """For example "in scenario s3" and "over all"."""
    return "over all" if scenario is None else f"in scenario {scenario}"
