"""The service changes to the model that is wanted, unless it cannot rank; then the old one serves on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from feast import FeatureStore

from features.serving.service import Configuration
from features.serving.web.models import Model, Wanted
from features.store import open_store
from pipelines.manifest import sha256_of
from pipelines.settings import Settings
from tests.features.serving.running import post, serving, wait_until
from tests.pipelines.finished_run import DS
from training.sealed import HASHES

ROW = {"scenario": "scenario-1", "user": "user-0", "items": ["item-0", "item-2"]}


@pytest.fixture(scope="module")
def store(trained: Settings) -> FeatureStore:
    return open_store(trained.home)


@pytest.fixture
def good(trained: Settings) -> Model:
    return Model(reference="pepnet@v1.0.0", folder=trained.models / "pepnet" / f"ds={DS}", digest="1" * 64)


class Wish:
    """What a test wants served."""

    def __init__(self, *models: Model) -> None:
        self.wanted = Wanted(models=models)

    def __call__(self) -> Wanted:
        return self.wanted


@pytest.fixture
def wish(good: Model) -> Wish:
    return Wish(good)


@pytest.fixture
def url(trained: Settings, store: FeatureStore, wish: Wish) -> Iterator[str]:
    with serving(Configuration(store, trained.catalog, wanted=wish)) as url:
        yield url


def misspelt(spec: dict[str, Any]) -> None:
    spec["numerics"][0]["column"] = "user_engagement__unheard_of"


def encoded_otherwise(spec: dict[str, Any]) -> None:
    spec["numerics"][0]["log"] = not spec["numerics"][0]["log"]


def of_another_service(spec: dict[str, Any]) -> None:
    spec["service"] = "ranker_v9"


# A process keeps its counts, so each test counts a version of its own.
_NUMBERS = {misspelt: 11, encoded_otherwise: 12, of_another_service: 13}


def changed(model: Model, into: Path, change: Callable[[dict[str, Any]], None]) -> Model:
    """A version like `model` whose input is another, sealed as if it had been trained so."""
    shutil.copytree(model.folder, into)
    spec = json.loads((into / "spec.json").read_text())
    change(spec)
    (into / "spec.json").write_text(json.dumps(spec))
    hashes = json.loads((into / HASHES).read_text())
    (into / HASHES).write_text(json.dumps(hashes | {"spec.json": sha256_of(into / "spec.json")}))
    return Model(reference=f"pepnet@v{_NUMBERS[change]}.0.0", folder=into, digest="2" * 64)


def metrics(url: str) -> str:
    return requests.get(f"{url}/metrics", timeout=30).text


def changes(told: str) -> float:
    return float(told.split("\ngatehouse_model_changes_total ")[1].split()[0])


@pytest.mark.parametrize("change", [misspelt, encoded_otherwise, of_another_service])
def test_version_that_does_not_fit_is_refused_and_counted_and_the_old_one_serves_on(
    url: str, wish: Wish, good: Model, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    unfit = changed(good, tmp_path / "model", change)
    wish.wanted = Wanted(models=(unfit, good))
    refusal = f'gatehouse_model_refusals_total{{version="{unfit.reference}"}} 1.0'
    wait_until(lambda: refusal in metrics(url))
    assert post(f"{url}/v1/rank", ROW).json()["model"] == good.reference
    assert 'gatehouse_model_info{version="pepnet@v1.0.0"} 1.0' in metrics(url)


def test_version_that_stands_in_for_a_refused_one_is_served_from_the_start(
    trained: Settings, store: FeatureStore, good: Model, tmp_path: Path
) -> None:
    gone = Model(reference="pepnet@v2.0.0", folder=tmp_path / "gone", digest="2" * 64)
    with serving(Configuration(store, trained.catalog, wanted=Wish(gone, good))) as url:
        assert post(f"{url}/v1/rank", ROW).json()["model"] == good.reference


def test_change_shows_in_answers_readiness_and_metrics(url: str, wish: Wish, good: Model) -> None:
    assert requests.get(f"{url}/readyz", timeout=30).json()["model"] == good.reference
    before = changes(metrics(url))
    newer = good.model_copy(update={"reference": "pepnet@v2.0.0"})
    wish.wanted = Wanted(models=(newer, good), asked=1_700_000_000.0)
    wait_until(lambda: post(f"{url}/v1/rank", ROW).json()["model"] == newer.reference)
    assert requests.get(f"{url}/readyz", timeout=30).json()["model"] == newer.reference
    told = metrics(url)
    assert 'gatehouse_model_info{version="pepnet@v1.0.0"} 0.0' in told
    assert 'gatehouse_model_info{version="pepnet@v2.0.0"} 1.0' in told
    assert changes(told) == before + 1
    assert "gatehouse_model_asked_timestamp_seconds 1.7e+09" in told
