"""The page's opening: what was run, and how it ended, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pipelines.days import Days
from pipelines.reporting.blocks import Facts
from pipelines.reporting.drift import drifted
from pipelines.reporting.files import find_evaluation, find_json, find_promotion
from pipelines.reporting.words import day, enumerated, plural
from pipelines.settings import Settings

Outcome = Literal["passed", "failed", "open"]


def verdict(settings: Settings, ds: date) -> tuple[str, Outcome, tuple[str, ...]]:
    """How the run ended: a sentence, its outcome, and what spoke against the chosen model."""
    if find_evaluation(settings, ds) is None:
        return f"The models of {day(ds)} have not been evaluated yet.", "open", ()
    promotion = find_promotion(settings, ds)
    if promotion is None:
        return f"{settings.params.publish.model} of {day(ds)} has not been judged yet.", "open", ()
    model, reasons = promotion.model, promotion.reasons
    if not promotion.passed:
        return f"{model} did not pass and will not be published.", "failed", reasons
    published = find_json(_published_path(settings))
    if published is None or (published["model"], published["ds"]) != (model, str(ds)):
        return f"{model} passed. It is not published yet.", "passed", reasons
    return f"{model} passed and is published as {_tag(published)}.", "passed", reasons


def facts(settings: Settings, ds: date) -> Facts:
    """Days, models and the published version."""
    return Facts(tuple(_pairs(settings, ds)))


def _pairs(settings: Settings, ds: date) -> Iterator[tuple[str, str]]:
    params = settings.params
    for part, days in settings.dataset_params.split.days(ds).items():
        yield f"{part}, {plural(len(days), 'day')}", _range(days)
    yield "feature service", params.features.service
    yield "tasks", enumerated([task.name for task in settings.catalog.tasks])
    yield "models", enumerated(list(params.train.models))
    yield "features drifted", drifted(settings)
    yield "to be published", params.publish.model
    published = find_json(_published_path(settings))
    if published is None:
        yield "published version", "none"
    else:
        yield f"published version, of {published['ds']}", _tag(published)


def _range(days: Days) -> str:
    return str(days.start) if len(days) == 1 else f"{days.start} \u2013 {days.end}"


def _published_path(settings: Settings) -> Path:
    return settings.home / "registry" / settings.dataset / "published.json"


def _tag(published: dict[str, Any]) -> str:
    return f"{published['model']}@{published['version']}"
