"""A home that can be served: a model of random weights, and snapshots of what it may be asked for."""

from __future__ import annotations

from pathlib import Path

from pipelines.days import Days
from pipelines.lake import Lake
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.features.hand_made_lake import write_lake
from tests.homes import make_home
from tests.pipelines.finished_run import DS, PARAMS, write_model_of, write_training_set
from tests.training.rows import training_rows


def servable(folder: Path) -> Settings:
    """Settings of the home; its users, items and scenarios are "user-0" to "user-3" and so on."""
    settings = Settings(home=make_home(folder, "simulated", **PARAMS))
    write_training_set(settings, Lake(settings.lake), training_rows(settings.catalog, rows=500), {})
    write_model_of(settings, "pepnet")
    write_lake(settings.lake, settings.catalog, Days.one(DS), ids=4)
    materialize(settings, DS)
    return settings
