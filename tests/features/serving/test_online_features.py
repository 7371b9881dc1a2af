"""/get-online-features speaks as Feast's own feature server does, except of values that are too old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from feast import FeatureStore
from feast.feature_server import get_app

from features.serving.service import Configuration
from pipelines.settings import Settings
from tests.features.serving.running import post, running, serving

PATH = "/get-online-features"
KEYS = ("user_id", "item_id", "scenario_id", "author_id", "tag_id")
IDS: dict[str, list[Any]] = {key: [f"{key[:-3]}-{n}" for n in (0, 1, 2, 1)] + ["never seen"] for key in KEYS}
ASKED: list[dict[str, Any]] = [
    {"feature_service": "ranker_v1", "entities": IDS, "full_feature_names": True},
    {"features": ["item_profile:author_id", "item_profile:video_duration"], "entities": IDS},
    {"features": ["user_scenario_engagement:click_rate_1d"], "entities": IDS},
    {"features": ["item_engagement:click_rate_1d"], "entities": {"item_id": ["item-0"], "unheard_of": ["x"]}},
    {"features": ["item_engagement:click_rate_1d"], "entities": {"item_id": [7, 8]}},
    {"features": ["user_positives:item_ids"], "entities": IDS, "full_feature_names": True},
]  # fmt: skip


@pytest.fixture(scope="module")
def ours(store: FeatureStore, served: Settings) -> Iterator[str]:
    with serving(Configuration(store, served.catalog)) as url:
        yield url + PATH


@pytest.fixture(scope="module")
def feasts(store: FeatureStore) -> Iterator[str]:
    with running(get_app(store)) as url:
        yield url + PATH


def by_name(response: Any) -> dict[str, Any]:
    """Feast asks for features in the order of a set, which is another one in each process."""
    answer = response.json()
    assert response.status_code == 200, answer
    assert set(answer) == {"metadata", "results"}
    return dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))


@pytest.mark.parametrize(
    "asked", ASKED, ids=lambda asked: asked.get("feature_service") or asked["features"][0]
)
def test_response_is_that_of_feasts_own_server(ours: str, feasts: str, asked: dict[str, Any]) -> None:
    assert by_name(post(ours, asked)) == by_name(post(feasts, asked))


def test_features_follow_the_ids_in_the_order_of_the_request(ours: str) -> None:
    answer = post(ours, ASKED[1]).json()
    assert answer["metadata"]["feature_names"] == [*KEYS, "author_id", "video_duration"]


@pytest.mark.parametrize(
    "asked",
    [
        {"feature_service": "unheard_of", "entities": IDS},
        {"features": ["unheard_of:click_rate_1d"], "entities": IDS},
        {"features": ["user_engagement:click_rate_1d", "item_engagement:click_rate_1d"], "entities": IDS},
    ],
    ids=["service", "view", "collision"],
)
def test_error_is_told_in_feasts_words(ours: str, feasts: str, asked: dict[str, Any]) -> None:
    assert post(ours, asked).json() == post(feasts, asked).json()
    assert 400 <= post(ours, asked).status_code < 500


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"features": ["item_engagement:click_rate_1d"], "entities": {}}, "no ids of item_id"),
        ({"features": ["item_engagement:unheard_of"], "entities": IDS}, "has no feature 'unheard_of'"),
        ({"features": ["click_rate_1d"], "entities": IDS}, "VIEW:FEATURE"),
        ({"entities": IDS}, "name a feature_service"),
        ({"features": ["item_profile:tag_id"], "entities": {"item_id": [None]}}, "item_id.0"),
        ({"features": ["item_profile:tag_id"], "entities": {"item_id": ["a"], "user_id": []}}, "as many"),
    ],
)  # fmt: skip
def test_request_that_makes_no_sense_is_refused_with_the_way_out(ours: str, asked: Any, says: str) -> None:
    response = post(ours, asked)
    assert 400 <= response.status_code < 500
    assert says in response.json()["detail"]


def test_no_rows_are_an_empty_answer(ours: str) -> None:
    answer = by_name(post(ours, {"features": ["item_engagement:click_rate_1d"], "entities": {"item_id": []}}))
    assert answer["click_rate_1d"] == {"values": [], "statuses": [], "event_timestamps": []}


def test_value_past_its_ttl_is_null_and_outside_its_max_age(store: FeatureStore, served: Settings) -> None:
    asked = {
        "features": ["item_engagement:impressions_1d", "item_profile:author_id"],
        "entities": {"item_id": IDS["item_id"]},
    }
    now = Configuration(store, served.catalog)
    later = replace(now, clock=lambda served: served.instant + timedelta(days=15))
    with serving(now) as now_url, serving(later) as later_url:
        fresh, stale = (by_name(post(url + PATH, asked)) for url in (now_url, later_url))
    assert stale["author_id"] == fresh["author_id"], "a profile does not age"
    found = [status == "PRESENT" for status in fresh["impressions_1d"]["statuses"]]
    assert any(found)
    assert stale["impressions_1d"]["statuses"] == [
        "OUTSIDE_MAX_AGE" if present else "NOT_FOUND" for present in found
    ]
    assert set(stale["impressions_1d"]["values"]) == {None}
    assert stale["impressions_1d"]["event_timestamps"] == fresh["impressions_1d"]["event_timestamps"]
