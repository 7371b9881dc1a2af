"""/readyz says when to send requests here, and if not, why; /metrics says how fresh what is served is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from feast import FeatureStore
from prometheus_client.parser import text_string_to_metric_families

from features.serving.online import find_served, packed_store
from features.serving.served import Served
from features.serving.service import Configuration
from features.store import open_store
from features.stores.packed.backend import Backend
from features.stores.packed.generations import withdraw
from features.stores.packed.pointer import Pointer
from pipelines.settings import Settings
from tests.features.serving.running import post, serving
from tests.features.serving.test_service import damage

LOOKUP = {"service": "ranker_v1", "scenario": "scenario-1", "user": "user-0", "items": ["item-0", "nobody's"]}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def own(served: Settings, tmp_path: Path) -> FeatureStore:
    """A store that a test may change."""
    shutil.copytree(served.home, tmp_path / "home")
    return open_store(tmp_path / "home")


@pytest.fixture
def url(own: FeatureStore, served: Settings) -> Iterator[str]:
    with serving(Configuration(own, served.catalog)) as url:
        yield url


def ready(url: str) -> tuple[int, dict[str, Any]]:
    response = requests.get(f"{url}/readyz", timeout=10)
    return response.status_code, response.json()


def backend(store: FeatureStore) -> Backend:
    return packed_store(store).backend(store.config)


def serve_instead(store: FeatureStore, change: Callable[[Served], Served]) -> None:
    """Let the pointer say something else of the same rows."""
    old = backend(store).pointer()
    pointer = Pointer.parse(old)
    served = find_served(store)
    assert served is not None
    new = Pointer(pointer.generations, pointer.building, change(served).record())
    assert backend(store).replace_pointer(old, new.dump())


def test_service_is_ready_when_every_view_is_served(url: str) -> None:
    assert ready(url) == (
        200,
        {
            "ready": True,
            "reasons": [],
            "dataset": "kuairand-pure",
            "ds": "2022-05-08",
            "building": None,
            "model": None,
        },
    )


def test_service_is_not_ready_when_the_store_is_away(url: str, own: FeatureStore) -> None:
    damage(Path(own.repo_path).parent)
    status, told = ready(url)
    assert status == 503
    assert "online store" in told["reasons"][0]
    assert requests.get(f"{url}/healthz", timeout=10).status_code == 200, (
        "it lives, and need not be started again"
    )


def test_service_is_not_ready_when_nothing_is_served(url: str, own: FeatureStore) -> None:
    withdraw(backend(own))
    status, told = ready(url)
    assert status == 503
    assert "gatehouse materialize" in told["reasons"][0]


def test_view_that_is_not_served_is_named(url: str, own: FeatureStore) -> None:
    def without(served: Served) -> Served:
        views = {name: view for name, view in served.views.items() if name != "item_engagement"}
        return served.model_copy(update={"views": views})

    serve_instead(own, without)
    status, told = ready(url)
    assert status == 503
    assert told["reasons"] == ["view item_engagement is not served; run `gatehouse materialize`"]


def test_view_that_is_older_than_its_ttl_is_named(url: str, own: FeatureStore) -> None:
    def older(served: Served) -> Served:
        newest = served.instant - timedelta(days=14, seconds=1)
        view = served.views["item_engagement"].model_copy(update={"newest": newest})
        return served.model_copy(update={"views": {**served.views, "item_engagement": view}})

    serve_instead(own, older)
    status, told = ready(url)
    assert status == 503
    [reason] = told["reasons"]
    assert reason.startswith("view item_engagement is stale: its newest rows are of 2022-04-24 23:59 UTC")
    assert reason.endswith("older than its TTL of 14 days")


def test_wall_clock_finds_an_old_log_stale(own: FeatureStore, served: Settings) -> None:
    configuration = Configuration(own, served.catalog)
    with serving(replace(configuration, clock=lambda served: served.instant + timedelta(days=900))) as url:
        status, told = ready(url)
    assert status == 503
    assert any(reason.startswith("view user_engagement is stale") for reason in told["reasons"])
    assert not any("profile" in reason for reason in told["reasons"])


def test_unfinished_materialization_is_shown_and_does_not_turn_requests_away(
    url: str, own: FeatureStore
) -> None:
    view = own.get_feature_view("item_engagement")
    with packed_store(own).building(own.config, [view], {"ds": "2022-05-09", "since": "now"}):
        status, told = ready(url)
    assert (status, told["building"]) == (200, {"ds": "2022-05-09", "since": "now"})
    assert ready(url)[1]["building"] is not None, "it was cut off, and stays to be seen until the next run"


def samples(url: str) -> Samples:
    text = requests.get(f"{url}/metrics", timeout=10).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(of: Samples, name: str, **labels: str) -> float:
    return of.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_endpoint_and_status(url: str) -> None:
    def ask() -> Samples:
        post(f"{url}/v1/lookup", LOOKUP)
        post(f"{url}/v1/lookup", {})
        requests.get(f"{url}/some/path/{id(url)}", timeout=10)
        return samples(url)

    before, after = ask(), ask()

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("gatehouse_request_seconds_count", endpoint="/v1/lookup", status="200") == 1
    assert more("gatehouse_request_seconds_count", endpoint="/v1/lookup", status="422") == 1
    assert more("gatehouse_request_seconds_count", endpoint="other", status="404") == 1
    assert more("gatehouse_request_seconds_bucket", endpoint="/v1/lookup", status="200", le="+Inf") == 1
    assert more("gatehouse_values_total", view="item_profile", status="not found") == 7
    assert more("gatehouse_values_total", view="user_profile", status="present") > 0


def test_freshness_is_the_age_of_a_views_newest_event(own: FeatureStore, served: Settings) -> None:
    configuration = Configuration(
        own, served.catalog, clock=lambda served: served.instant + timedelta(hours=5)
    )
    with serving(configuration) as url:
        told = samples(url)
    assert value(told, "gatehouse_view_freshness_seconds", view="user_engagement") >= 5 * 3600
    assert value(told, "gatehouse_store_up") == 1
    assert value(told, "gatehouse_served_timestamp_seconds") == 1652054400  # 2022-05-09


def test_store_that_is_away_shows_in_the_metrics(url: str, own: FeatureStore) -> None:
    damage(Path(own.repo_path).parent)
    post(
        f"{url}/v1/lookup", LOOKUP
    )  # a count shows, with what an earlier service of this process left, once used
    before = samples(url)
    for _ in range(3):
        post(f"{url}/v1/lookup", LOOKUP)
    after = samples(url)
    degraded = {"endpoint": "/v1/lookup"}
    assert value(after, "gatehouse_store_up") == 0
    assert value(after, "gatehouse_breaker_open") == 1
    assert (
        value(after, "gatehouse_degraded_requests_total", **degraded)
        - value(before, "gatehouse_degraded_requests_total", **degraded)
        == 3
    )
