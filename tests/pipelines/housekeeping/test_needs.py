"""A retention that is too short for a window, the split or a gate is refused, with the number needed."""

from __future__ import annotations

import pytest

from features.declarations.catalogs import DATASETS, find_catalog
from pipelines.errors import SettingsError
from pipelines.housekeeping.needs import least_days, require_enough
from pipelines.settings import CHECKOUT, RetentionParams, Settings, Split

SPLIT = Split(train=20, validation=2, test=3)
CATALOG = find_catalog("simulated", None)  # windows of up to 7 days, and intraday ones of 2


@pytest.mark.parametrize("kind", ["events", "tiles", "features"])
def test_retention_one_day_too_short_is_refused_and_the_number_is_named(kind: str) -> None:
    enough = RetentionParams(events=400, tiles=400, features=40)
    least = least_days(enough, SPLIT, CATALOG)[kind]
    exact = enough.model_copy(update={kind: least})
    if kind == "features":  # the others follow it
        assert least == 25 + 7 + 1
    require_enough(exact, SPLIT, CATALOG)
    with pytest.raises(SettingsError, match=rf"retention\.{kind} keeps {least - 1} days, {least} are needed"):
        require_enough(exact.model_copy(update={kind: least - 1}), SPLIT, CATALOG)


def test_tiles_reach_a_window_behind_the_features_that_are_kept() -> None:
    assert least_days(RetentionParams(features=300), SPLIT, CATALOG)["tiles"] == 307


def test_default_retention_is_enough_for_every_data_set() -> None:
    params = Settings(home=CHECKOUT).params
    assert params.retention == RetentionParams()
    for dataset in DATASETS:
        catalog = find_catalog(dataset, CHECKOUT / "docs" / "examples" / "custom.yaml")
        require_enough(params.retention, params.datasets[dataset].split, catalog)
