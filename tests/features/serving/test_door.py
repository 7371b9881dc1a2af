"""Who is let in, to what, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from feast import FeatureStore

from features.serving.service import Configuration, make_app
from features.serving.web.limits import Buckets, Limits
from features.serving.web.tokens import Tokens, add_token
from pipelines.settings import Settings
from tests.features.serving.running import post, running, serving

LOOKUP = {"service": "ranker_v1", "scenario": "scenario-1", "user": "user-0", "items": ["item-0"]}
RANK = {name: LOOKUP[name] for name in ("scenario", "user", "items")}
FEAST = {"features": ["item_engagement:click_rate_1d"], "entities": {"item_id": ["item-0"]}}
GUARDED = ("/v1/lookup", "/v1/rank", "/get-online-features")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    return {
        "file": path,
        "reader": add_token(path, "reader", ["ranker_v1"], rank=False),
        "stranger": add_token(path, "stranger", ["another_service"], rank=True),
    }


@pytest.fixture(scope="module")
def url(store: FeatureStore, served: Settings, tokens: dict[str, Any]) -> Iterator[str]:
    with serving(Configuration(store, served.catalog, tokens=Tokens(tokens["file"]))) as url:
        yield url


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", "Bearer ünknown", "Basic {reader}", "{reader}"]
)
def test_request_is_refused_when_it_brings_no_token_that_is_known(
    url: str, tokens: dict[str, Any], path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.format(**tokens).encode()}
    response = requests.post(url + path, data=b"not even JSON", headers=headers, timeout=10)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_every_route_of_the_application_but_health_asks_for_a_token(
    store: FeatureStore, served: Settings, tokens: dict[str, Any]
) -> None:
    app = make_app(Configuration(store, served.catalog, tokens=Tokens(tokens["file"])))
    statuses = {}
    with running(app) as url:
        for route in app.routes:
            for method in route.methods:
                response = requests.request(method, url + route.path, timeout=10)
                statuses[route.path, method] = response.status_code
    paths = {path for path, _ in statuses}
    assert paths >= set(app.openapi()["paths"])
    assert {path for (path, _), status in statuses.items() if status != 401} == {"/healthz", "/readyz"}


@pytest.mark.parametrize("path", ["/metrics", "/openapi.json", "/unheard_of"])
def test_other_paths_ask_for_a_token_too(url: str, path: str) -> None:
    assert requests.get(url + path, timeout=10).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_told_to_anybody(url: str, path: str) -> None:
    assert requests.get(url + path, timeout=10).status_code == 200


def test_token_lets_its_bearer_in(url: str, tokens: dict[str, Any]) -> None:
    assert post(f"{url}/v1/lookup", LOOKUP, tokens["reader"]).status_code == 200
    assert post(f"{url}/get-online-features", FEAST, tokens["reader"]).status_code == 200
    assert requests.get(
        f"{url}/metrics", headers={"Authorization": f"Bearer {tokens['reader']}"}, timeout=10
    ).ok


def test_token_of_another_service_is_refused(url: str, tokens: dict[str, Any]) -> None:
    for path, body in (("/v1/lookup", LOOKUP), ("/get-online-features", FEAST)):
        response = post(url + path, body, tokens["stranger"])
        assert response.status_code == 403
        assert "stranger is not for" in response.json()["detail"]


def test_removed_line_ends_its_token_at_once(store: FeatureStore, served: Settings, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    kept, removed = (add_token(path, name, ["ranker_v1"], rank=False) for name in ("kept", "removed"))
    with serving(Configuration(store, served.catalog, tokens=Tokens(path))) as url:
        assert post(f"{url}/v1/lookup", LOOKUP, removed).status_code == 200
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if '"removed"' not in line))
        assert post(f"{url}/v1/lookup", LOOKUP, removed).status_code == 401
        assert post(f"{url}/v1/lookup", LOOKUP, kept).status_code == 200
        path.write_text("damaged")
        assert post(f"{url}/v1/lookup", LOOKUP, kept).status_code == 401, "nobody is let in by a guess"


def test_token_is_told_to_wait_when_its_rate_is_used_up(
    store: FeatureStore, served: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "tokens"
    hasty, other = (add_token(path, name, ["ranker_v1"], rank=False) for name in ("hasty", "other"))
    limits = Limits(rate=0.01)
    with serving(Configuration(store, served.catalog, tokens=Tokens(path), limits=limits)) as url:
        assert post(f"{url}/v1/lookup", LOOKUP, hasty).status_code == 200
        refused = post(f"{url}/v1/lookup", LOOKUP, hasty)
        assert refused.status_code == 429
        assert 90 <= int(refused.headers["Retry-After"]) <= 100
        assert post(f"{url}/v1/lookup", LOOKUP, other).status_code == 200, "the rate is each token's own"


def test_bucket_fills_at_its_rate_and_holds_a_seconds_worth() -> None:
    now = [0.0]
    buckets = Buckets(4.0, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.25]
    now[0] = 0.5
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.25]
    now[0] = 100.0
    assert [buckets.take("a") for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.25]


def test_answer_never_holds_a_token(
    url: str, tokens: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    secret = tokens["stranger"]
    answers = [post(url + path, RANK, secret).text for path in GUARDED]
    assert not any(secret in text for text in (*answers, *capfd.readouterr()))
