"""docs/openapi.json is what the service says of itself, and nothing it allows makes the service fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from feast import FeatureStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.serving.service import Configuration, described_app
from pipelines.settings import CHECKOUT, Settings
from tests.features.serving.running import serving

DESCRIPTION = described_app().openapi()
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
POSTS = ("/v1/lookup", "/v1/rank", "/get-online-features")
FUZZ = settings(max_examples=60, suppress_health_check=list(HealthCheck))
# What JSON can hold and a careless reader stumbles over.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("ranker_v1"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
FIELDS = st.sampled_from(
    ["service", "scenario", "user", "items", "context", "top", "entities", "features", "feature_service"]
)


@pytest.fixture(scope="module")
def url(store: FeatureStore, served: Settings) -> Iterator[str]:
    with serving(Configuration(store, served.catalog)) as url:
        yield url


def test_committed_description_is_the_services() -> None:
    committed = (CHECKOUT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(committed) == DESCRIPTION, "run `make docs` and commit docs/openapi.json"


def test_every_endpoint_but_health_says_that_it_wants_a_token() -> None:
    open_ = {
        path
        for path, methods in DESCRIPTION["paths"].items()
        for of_method in methods.values()
        if not of_method.get("security")
    }
    assert open_ == {"/healthz", "/readyz"}


@pytest.mark.parametrize("path", POSTS)
def test_no_described_request_makes_the_service_fail(url: str, path: str) -> None:
    @FUZZ
    @given(SCHEMA[path]["POST"].as_strategy())
    def ask(case: schemathesis.Case) -> None:
        response = case.call(base_url=url, timeout=30)
        assert_decided(path, response)

    ask()


@pytest.mark.parametrize("path", POSTS)
def test_no_other_request_makes_the_service_fail(url: str, path: str) -> None:
    @FUZZ
    @given(st.dictionaries(FIELDS, JSON).map(lambda body: json.dumps(body).encode()) | st.binary())
    def ask(body: bytes) -> None:
        response = requests.post(url + path, body, headers={"Content-Type": "application/json"}, timeout=30)
        assert_decided(path, response)

    ask()


@pytest.mark.parametrize("id_", ["\ud800", "\0", "a" * 512, "ü€😀", '"}', "item-0\n", "1:1:23"], ids=ascii)
@pytest.mark.parametrize("path", POSTS)
def test_odd_id_is_refused_or_not_found(url: str, path: str, id_: str) -> None:
    bodies: dict[str, Any] = {
        "/v1/lookup": {"service": "ranker_v1", "scenario": id_, "user": id_, "items": [id_]},
        "/v1/rank": {"scenario": id_, "user": id_, "items": [id_]},
        "/get-online-features": {"features": ["item_profile:tag_id"], "entities": {"item_id": [id_]}},
    }
    for odd in ({}, {"context": {"hour": id_}}, {"context": {id_: "7"}}, {"features": [id_]}):
        assert_decided(path, requests.post(url + path, json=bodies[path] | odd, timeout=30))


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"9" * 100_000, b"\xff\xfe", b"NaN"], ids=["deep", "long", "odd", "NaN"]
)
@pytest.mark.parametrize("path", POSTS)
def test_body_that_strains_a_parser_is_refused(url: str, path: str, body: bytes) -> None:
    response = requests.post(url + path, body, headers={"Content-Type": "application/json"}, timeout=30)
    assert response.status_code in (400, 422)


def assert_decided(path: str, response: Any) -> None:
    """Answered or refused as JSON; only a ranking may be unavailable, for no model is published here."""
    assert response.status_code < 500 or (path, response.status_code) == ("/v1/rank", 503), response.text
    response.json()
