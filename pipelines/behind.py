"""Whether training has kept up with the features: a missed event must not go unnoticed."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from features.serving.served import served_day
from pipelines.days import Days
from pipelines.lake import Lake
from pipelines.settings import Settings

DAYS_BACK = 14


class Behind(BaseModel):
    """How far training is behind the features.

    Attributes:
        served: the day whose features are served, None when none are.
        evaluated: the newest day whose models were evaluated.
        published: the day of the version that was published last.
        untrained: of the last 14 days, those that have features and no evaluated model. A later day's
            model has learnt from them as well.
        retrain: the day to train on: the served one, where its models were not evaluated.
    """

    model_config = ConfigDict(frozen=True)

    served: date | None
    evaluated: date | None
    published: date | None
    untrained: tuple[date, ...]
    retrain: date | None

    def __str__(self) -> str:
        state = f"served {self.served}, evaluated {self.evaluated}, published {self.published}"
        missing = ", ".join(map(str, self.untrained)) or "none"
        way_out = f"; run daily_retrain of {self.retrain}" if self.retrain else ""
        return f"{state}; days with features and no model: {missing}{way_out}"


def behind(settings: Settings) -> Behind:
    """Compare the day that is served with the days whose models were evaluated and published."""
    served = served_day(settings.home / "feast", settings.dataset)
    evaluated = {
        date.fromisoformat(path.stem.removeprefix("ds=")) for path in settings.evaluation.glob("ds=*.json")
    }
    featured = Lake(settings.lake).days(f"features/{settings.catalog.aggregates[0].name}")
    recent = Days.ending(featured[-1], DAYS_BACK) if featured else ()
    return Behind(
        served=served,
        evaluated=max(evaluated, default=None),
        published=_published(settings.home / "registry" / settings.dataset / "published.json"),
        untrained=tuple(ds for ds in featured if ds in recent and ds not in evaluated),
        retrain=served if served is not None and served not in evaluated else None,
    )


def _published(note: Path) -> date | None:
    try:
        return date.fromisoformat(json.loads(note.read_bytes())["ds"])
    except FileNotFoundError:
        return None
