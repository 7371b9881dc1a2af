"""Every declared column is expected of its table, by its type, its range and its share of nulls."""

from __future__ import annotations

from dataclasses import replace

import pytest
from great_expectations import expectations as gxe

from features.compile.expectations import (
    TableSuites,
    column_of,
    event_suites,
    null_share_of,
    training_suites,
    type_of,
    view_suites,
    words_of,
)
from features.declarations.catalog import Catalog, Volume
from features.declarations.catalogs import find_catalog
from features.declarations.entities import ITEM, USER
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.groups import Profile, SequenceGroup, View
from features.declarations.mapping import Mapping, mapped_catalog
from features.declarations.windows import HOUR

CUSTOM = Mapping.model_validate(
    {
        "events": {"path": "log.csv", "user": "u", "item": "i", "time": "t"},
        "labels": {"bought": {"column": "b", "prior": 0.1}},
        "users": {"path": "users.csv", "id": "u", "categories": ["town"], "numbers": ["age"]},
    }
)
CATALOGS = [
    *(find_catalog(name) for name in ("kuairand-pure", "movielens-100k", "simulated")),
    mapped_catalog(CUSTOM),
]
RECENT = SequenceGroup("user_recent", (USER,), "click", (ITEM,), length=5, window=HOUR * 6, tile=HOUR)
VIEWS = [*((catalog, view) for catalog in CATALOGS for view in catalog.views), (CATALOGS[0], RECENT)]
ANY_VOLUME = Volume(0.0, 100.0)

all_catalogs = pytest.mark.parametrize("catalog", CATALOGS, ids=lambda catalog: catalog.dataset)
all_views = pytest.mark.parametrize(
    ("catalog", "view"), VIEWS, ids=[f"{catalog.dataset}-{view.name}" for catalog, view in VIEWS]
)


def types(suites: TableSuites) -> dict[str, list[str]]:
    """Column to the types it may have."""
    return {
        column_of(check): check.value_set
        for check in suites.partitions.expectations
        if isinstance(check, gxe.ExpectColumnValuesToBeInSet) and check.column == type_of(column_of(check))
    }


def bounds(suites: TableSuites, column: str) -> tuple[float | None, float | None]:
    """The least and the greatest value a column's rows may have."""
    low = high = None
    for check in suites.rows.expectations:
        if isinstance(check, gxe.ExpectColumnMinToBeBetween) and check.column == column:
            low = check.min_value
        if isinstance(check, gxe.ExpectColumnMaxToBeBetween) and check.column == column:
            high = check.max_value
    return low, high


def allowed_null_share(suites: TableSuites, column: str) -> float | None:
    for check in suites.partitions.expectations:
        if getattr(check, "column", None) == null_share_of(column):
            return float(check.max_value)
    return None


@all_views
def test_every_feature_is_expected_with_its_type_and_null_share(catalog: Catalog, view: View) -> None:
    suites = view_suites(view, catalog.volume)
    for feature in view.features:
        assert types(suites)[feature.name] == [feature.dtype.value]
        assert allowed_null_share(suites, feature.name) == feature.max_null_share


@all_views
def test_every_float_is_bounded_as_declared_or_at_least_finite(catalog: Catalog, view: View) -> None:
    suites = view_suites(view, catalog.volume)
    for feature in view.features:
        if feature.dtype is DType.FLOAT:
            low, high = bounds(suites, feature.name)
            assert low is not None
            assert high is not None
            assert low == feature.low or (feature.low is None and low < -3e38)
            assert high == feature.high or (feature.high is None and high > 3e38)


@all_views
def test_keys_of_a_view_are_unique_together_within_a_partition(catalog: Catalog, view: View) -> None:
    suites = view_suites(view, catalog.volume)
    (unique,) = [
        check for check in suites.rows.expectations if isinstance(check, gxe.ExpectCompoundColumnsToBeUnique)
    ]
    intraday = not isinstance(view, Profile) and view.intraday
    instant = ["event_timestamp"] if intraday else []
    assert unique.column_list == ["ds", *(key.column for key in view.keys), *instant]


@all_catalogs
def test_every_id_label_and_context_of_the_events_is_expected(catalog: Catalog) -> None:
    expected = types(event_suites(catalog))
    assert {entity.column for entity in catalog.entities} <= expected.keys()
    assert {feature.name for feature in catalog.context} <= expected.keys()
    assert {task.column: ["int8"] for task in catalog.tasks}.items() <= expected.items()


@all_catalogs
def test_every_column_of_a_service_is_expected_of_its_training_set(catalog: Catalog) -> None:
    suites = training_suites(catalog, "ranker_v1")
    expected = types(suites)
    for name, feature in catalog.service_columns("ranker_v1"):
        assert expected[name] == [feature.dtype.value]
        if feature.high is not None:
            assert bounds(suites, name)[1] == feature.high


def test_a_feature_is_expected_when_it_is_added_to_a_declaration() -> None:
    profile = Profile("user_profile", (USER,), "users", ())
    height = Feature(
        "height", DType.INT, Role.GENERAL, Encoding.NUMERIC, default=170, low=30, high=260, max_null_share=0.2
    )
    before = view_suites(profile, ANY_VOLUME)
    after = view_suites(replace(profile, columns=(height,)), ANY_VOLUME)
    assert "height" not in types(before)
    assert types(after)["height"] == ["int64"]
    assert bounds(after, "height") == (30, 260)
    assert allowed_null_share(after, "height") == 0.2


@all_catalogs
def test_every_expectation_says_its_column_and_what_it_expects(catalog: Catalog) -> None:
    tables = [event_suites(catalog), training_suites(catalog, "ranker_v1")]
    tables += [view_suites(view, catalog.volume) for view in catalog.views]
    for suites in tables:
        for check in (*suites.partitions.expectations, *suites.rows.expectations):
            assert words_of(check)
            assert column_of(check) == "rows" or set(column_of(check).split(", ")) <= suites.columns.keys()
        suites.rows.to_json_dict()  # a suite that cannot be saved would lose its Data Docs
        suites.partitions.to_json_dict()
