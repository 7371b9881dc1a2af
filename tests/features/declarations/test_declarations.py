"""A declaration that cannot work fails when it is made, with a sentence that says why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from features.declarations.catalog import Catalog, Service, Task, Volume
from features.declarations.catalogs import DATASETS, find_catalog
from features.declarations.entities import AUTHOR, ITEM, SCENARIO, USER
from features.declarations.errors import DeclarationError
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.groups import Count, FeatureGroup, Rate, SequenceGroup, View

DECLARED = [name for name in DATASETS if name != "custom"]


def group(**changes: object) -> FeatureGroup:
    fields = {
        "name": "user_engagement",
        "keys": (USER,),
        "measures": (Count(), Rate("click", prior=0.3)),
        "windows": (1, 7),
        "role": Role.GENERAL,
    }
    return FeatureGroup(**(fields | changes))  # type: ignore[arg-type]


def catalog(*views: View, services: tuple[Service, ...] = ()) -> Catalog:
    tasks = (Task("click", prior=0.3),)
    return Catalog("test", tasks, (USER, ITEM, SCENARIO), views, services, Volume(0.1, 5.0))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "User-Engagement"}, r"must match \^\[a-z\]"),
        ({"name": "x; drop table events"}, "not a valid name"),
        ({"keys": ()}, "no keys"),
        ({"windows": (0, 7)}, "shorter than a tile"),
        ({"windows": (7, 1)}, "distinct and ascending"),
        ({"measures": (Count(), Count())}, "impressions_1d, impressions_7d more than once"),
    ],
)
def test_feature_group_that_cannot_work_says_why(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(DeclarationError, match=sentence):
        group(**changes)


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        ({"low": 2.0, "high": 1.0}, "low 2.0 is above high 1.0"),
        ({"max_null_share": 1.5}, "not a share"),
        ({"default": None}, "needs a numeric default"),
        ({"dtype": DType.STRINGS}, "cannot be encoded as numeric"),
        ({"name": "like\n"}, "not a valid name"),
    ],
)
def test_feature_that_cannot_work_says_why(feature: dict[str, object], sentence: str) -> None:
    fields = {
        "name": "rate",
        "dtype": DType.FLOAT,
        "role": Role.GENERAL,
        "encoding": Encoding.NUMERIC,
        "default": 0.0,
    }
    with pytest.raises(DeclarationError, match=sentence):
        Feature(**(fields | feature))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("views", "services", "sentence"),
    [
        ((group(), group()), (), "user_engagement twice"),
        ((group(keys=(AUTHOR,)),), (), "keyed by author"),
        ((group(measures=(Rate("buy", prior=0.1),)),), (), "unknown task buy"),
        ((group(),), (Service("ranker_v1", ("other",)),), "unknown views: other"),
        ((SequenceGroup("recent", (USER,), "buy", (ITEM,), 5, 7),), (), "unknown task buy"),
    ],
)
def test_catalog_that_cannot_work_says_why(
    views: tuple[View, ...], services: tuple[Service, ...], sentence: str
) -> None:
    with pytest.raises(DeclarationError, match=sentence):
        catalog(*views, services=services)


def test_window_measures_become_features_in_order_of_windows() -> None:
    names = [feature.name for feature in group().features]
    assert names == ["impressions_1d", "click_rate_1d", "impressions_7d", "click_rate_7d"]
    assert group().ttl == timedelta(days=7)


def test_rate_defaults_to_its_prior() -> None:
    defaults = {feature.name: feature.default for feature in group().features}
    assert defaults["click_rate_7d"] == 0.3
    assert defaults["impressions_7d"] == 0.0


@pytest.mark.parametrize("dataset", DECLARED)
def test_service_columns_are_unique_in_every_catalog(dataset: str) -> None:
    declared = find_catalog(dataset)
    for service in declared.services:
        columns = [column for column, _ in declared.service_columns(service.name)]
        assert len(columns) == len(set(columns))
        assert len(columns) == sum(len(declared.view(name).features) for name in service.views)


def test_unknown_data_set_names_those_there_are() -> None:
    with pytest.raises(DeclarationError, match=r"choose one of .*movielens-100k"):
        find_catalog("netflix")
