"""A declaration that cannot work fails when it is made, with a sentence that says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from features.declarations.catalog import AuxiliaryTask, Catalog, Service, Task, Volume
from features.declarations.catalogs import DATASETS, find_catalog
from features.declarations.entities import AUTHOR, ITEM, SCENARIO, USER
from features.declarations.errors import DeclarationError
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.groups import FeatureGroup, SequenceGroup, View
from features.declarations.measures import (
    Count,
    Distinct,
    Last,
    Max,
    Mean,
    Measure,
    Min,
    Rate,
    Sum,
    TimeSince,
    Trend,
)
from features.declarations.quantities import Quantity
from features.declarations.windows import DAY, HOUR, days, hours

SECONDS = Quantity("seconds", low=0.0)
BALANCE = Quantity("balance")
DECLARED = [name for name in DATASETS if name != "custom"]


def group(**changes: object) -> FeatureGroup:
    fields = {
        "name": "user_engagement",
        "keys": (USER,),
        "measures": (Count(), Rate("click", prior=0.3)),
        "windows": days(1, 7),
        "role": Role.GENERAL,
    }
    return FeatureGroup(**(fields | changes))  # type: ignore[arg-type]


def recent(window: timedelta = DAY * 7, **changes: object) -> SequenceGroup:
    fields = {"task": "click", "elements": (ITEM,), "length": 5, "window": window}
    return SequenceGroup("recent", (USER,), **(fields | changes))  # type: ignore[arg-type]


def catalog(*views: View, services: tuple[Service, ...] = ()) -> Catalog:
    tasks = (Task("click", prior=0.3),)
    return Catalog(
        "test", tasks, (USER, ITEM, SCENARIO), views, services, Volume(0.1, 5.0), quantities=(SECONDS,)
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "User-Engagement"}, r"must match \^\[a-z\]"),
        ({"name": "x; drop table events"}, "not a valid name"),
        ({"keys": ()}, "no keys"),
        ({"measures": ()}, "measures nothing"),
        ({"windows": ()}, "distinct and ascending"),
        ({"windows": days(0, 7)}, "0 days is shorter than a tile"),
        ({"windows": hours(6)}, "6 hours is shorter than a tile .*tile=HOUR"),
        ({"windows": hours(36)}, "36 hours is no multiple of a tile"),
        ({"windows": days(7, 1)}, "distinct and ascending"),
        ({"measures": (Count(), Count())}, "impressions_1d, impressions_7d more than once"),
        ({"measures": (Trend(Count(), HOUR, DAY),)}, "1 hour is shorter than a tile"),
        ({"tile": HOUR / 2}, "a tile is DAY or HOUR"),
        ({"tile": HOUR, "windows": (HOUR / 2,)}, "shorter than a tile"),
        ({"tile": HOUR, "windows": days(8)}, "8 days over hourly tiles is longer than 7 days"),
    ],
)
def test_feature_group_that_cannot_work_says_why(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(DeclarationError, match=sentence):
        group(**changes)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda: Rate("click", prior=1.5), "prior 1.5 must be within"),
        (lambda: Rate("click", prior=0.5, strength=0.0), "strength 0.0 above 0"),
        (lambda: Trend(Count(), DAY, DAY), "must be shorter than the long one"),
        (lambda: Trend(Count(), DAY, DAY * 7, strength=0.0), "strength 0.0 must be above 0"),
        (lambda: Trend(Sum(BALANCE), DAY, DAY * 7), "may be negative has no trend"),
        (lambda: Quantity("seconds", low=2.0, high=1.0), "low 2.0 is above high 1.0"),
        (lambda: Quantity("Seconds"), "not a valid name"),
        (lambda: recent(length=0), "a length of at least 1"),
        (
            lambda: recent(HOUR),
            "sequence group recent: a window of 1 hour is shorter than a tile .*tile=HOUR",
        ),
        (lambda: recent(HOUR * 36), "36 hours is no multiple of a tile"),
        (lambda: recent(DAY * 8, tile=HOUR), "8 days over hourly tiles is longer than 7 days"),
        (lambda: recent(tile=HOUR / 2), "a tile is DAY or HOUR"),
    ],
)
def test_measure_that_cannot_work_says_why(declare: Callable[[], object], sentence: str) -> None:
    with pytest.raises(DeclarationError, match=sentence):
        declare()


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        ({"low": 2.0, "high": 1.0}, "low 2.0 is above high 1.0"),
        ({"max_null_share": 1.5}, "not a share"),
        ({"default": None}, "needs a numeric default"),
        ({"dtype": DType.STRINGS}, "cannot be encoded as numeric"),
        ({"encoding": Encoding.ELAPSED}, "elapsed reads an event time"),
        ({"max_psi": 0.0}, "max_psi 0.0 must be above 0"),
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
        ((group(keys=(AUTHOR,)),), (), "unknown entity author"),
        ((group(measures=(Rate("buy", prior=0.1),)),), (), "unknown task buy"),
        ((group(),), (Service("ranker_v1", ("other",)),), "unknown views: other"),
        ((group(measures=(Mean(BALANCE, 0.0),)),), (), "unknown quantity balance.*they have seconds"),
        ((group(measures=(Distinct(AUTHOR),)),), (), "unknown entity author"),
        ((recent(task="buy"),), (), "unknown task buy"),
        ((recent(elements=(AUTHOR,)),), (), "unknown entity author"),
    ],
)
def test_catalog_that_cannot_work_says_why(
    views: tuple[View, ...], services: tuple[Service, ...], sentence: str
) -> None:
    with pytest.raises(DeclarationError, match=sentence):
        catalog(*views, services=services)


@pytest.mark.parametrize(
    ("auxiliary", "sentence"),
    [
        (AuxiliaryTask("rich", BALANCE, 1.0), "rich asks for balance, which is no quantity.*it has seconds"),
        (AuxiliaryTask("click", SECONDS, 1.0), "declares task click twice"),
    ],
)
def test_auxiliary_task_that_cannot_work_says_why(auxiliary: AuxiliaryTask, sentence: str) -> None:
    with pytest.raises(DeclarationError, match=sentence):
        replace(catalog(group()), auxiliaries=(auxiliary,))


def test_window_measures_become_features_in_order_of_windows() -> None:
    names = [feature.name for feature in group().features]
    assert names == ["impressions_1d", "click_rate_1d", "impressions_7d", "click_rate_7d"]
    assert group().ttl == timedelta(days=7)


@pytest.mark.parametrize(
    ("measure", "name", "encoding", "default"),
    [
        (Sum("click"), "click_sum_7d", Encoding.LOG, 0.0),
        (Sum(SECONDS), "seconds_sum_7d", Encoding.LOG, 0.0),
        (Sum(BALANCE), "balance_sum_7d", Encoding.NUMERIC, 0.0),
        (Mean(SECONDS, 3.0), "seconds_mean_7d", Encoding.NUMERIC, 3.0),
        (Min(SECONDS, 3.0), "seconds_min_7d", Encoding.NUMERIC, 3.0),
        (Max(SECONDS, 3.0), "seconds_max_7d", Encoding.NUMERIC, 3.0),
        (Distinct(ITEM), "item_distinct_7d", Encoding.LOG, 0.0),
        (Last(ITEM), "item_last_7d", Encoding.CATEGORY, None),
        (TimeSince(), "impression_last_time_7d", Encoding.ELAPSED, 168.0),
        (TimeSince("click"), "click_last_time_7d", Encoding.ELAPSED, 168.0),
        (Trend(Count(), DAY, DAY * 7), "impressions_trend_1d_7d", Encoding.NUMERIC, 1.0),
        (Trend(Sum("click"), DAY, DAY * 28), "click_trend_1d_28d", Encoding.NUMERIC, 1.0),
    ],
)
def test_measure_becomes_a_feature_with_a_default(
    measure: Measure, name: str, encoding: Encoding, default: float | None
) -> None:
    (feature,) = group(measures=(measure,), windows=days(7)).features
    assert (feature.name, feature.encoding, feature.default) == (name, encoding, default)


def test_windows_of_hours_are_named_so_and_reach_an_hour_further() -> None:
    intraday = group(windows=hours(1, 24), tile=HOUR, measures=(Count(),))
    assert [feature.name for feature in intraday.features] == ["impressions_1h", "impressions_1d"]
    assert intraday.ttl == timedelta(hours=25)
    assert intraday.reach == 2


def test_intraday_sequence_reaches_an_hour_further_than_its_window() -> None:
    intraday, daily = recent(DAY, tile=HOUR), recent(DAY)
    assert (intraday.intraday, intraday.ttl, intraday.reach) == (True, timedelta(hours=25), 2)
    assert (daily.intraday, daily.ttl, daily.reach) == (False, DAY, 1)


def test_a_trend_makes_the_group_reach_as_far_as_its_long_window() -> None:
    assert group(measures=(Count(), Trend(Count(), DAY, DAY * 28))).reach == 28


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
