"""Whether training is behind: a day that is served has to have a model."""

from __future__ import annotations

import json
from datetime import date

import pyarrow as pa
import pytest

from features.serving.served import Served, write_receipt
from pipelines.behind import behind
from pipelines.lake import Lake
from pipelines.settings import Settings
from tests.pipelines.gate_lake import publish
from tests.pipelines.published_models import write_model, write_verdict

FIRST, SECOND = date(2026, 1, 5), date(2026, 1, 6)


@pytest.fixture
def settings(simulated_settings: Settings) -> Settings:
    """Two days with features, the later of them served, and a model of the first."""
    lake = Lake(simulated_settings.lake)
    for ds in (FIRST, SECOND):
        publish(lake, f"features/{simulated_settings.catalog.aggregates[0].name}", ds, pa.table({"a": [1]}))
    _serve(simulated_settings, SECOND)
    _evaluate(simulated_settings, FIRST)
    return simulated_settings


def _serve(settings: Settings, ds: date, dataset: str = "simulated") -> None:
    (settings.home / "feast").mkdir(exist_ok=True)
    write_receipt(settings.home / "feast", Served(dataset=dataset, ds=ds, views={}))


def _evaluate(settings: Settings, ds: date) -> None:
    write_model(settings, "weights", ds)
    write_verdict(settings, ds)


def test_served_day_without_a_model_is_to_be_trained_on(settings: Settings) -> None:
    found = behind(settings)
    assert (found.served, found.evaluated, found.retrain) == (SECOND, FIRST, SECOND)
    assert found.untrained == (SECOND,)
    assert json.loads(found.model_dump_json())["retrain"] == "2026-01-06"


def test_nothing_is_to_be_trained_on_when_the_served_day_has_a_model(settings: Settings) -> None:
    _evaluate(settings, SECOND)
    assert behind(settings).retrain is None
    assert behind(settings).untrained == ()


def test_day_that_was_passed_over_is_named_and_left_alone(settings: Settings) -> None:
    _evaluate(settings, SECOND)
    (settings.evaluation / f"ds={FIRST}.json").unlink()
    found = behind(settings)
    assert (found.untrained, found.retrain) == ((FIRST,), None)


def test_nothing_is_to_be_trained_on_when_another_data_set_is_served(settings: Settings) -> None:
    _serve(settings, SECOND, "kuairand-pure")
    assert behind(settings).retrain is None
