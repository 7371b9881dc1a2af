"""/v1/lookup and /v1/rank over a real server and a real store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import requests
from feast import FeatureStore

from features.serving.batch import FeatureBatch
from features.serving.guard import Patience
from features.serving.lookup import FeatureLookup
from features.serving.ranking import Ranker
from features.serving.service import Configuration
from features.serving.web.limits import Limits
from features.serving.web.models import Model, Wanted
from features.serving.web.replies import ARROW
from features.serving.web.tokens import Tokens, add_token
from features.store import open_store
from pipelines.materialize import materialize
from pipelines.settings import Settings
from tests.features.serving.running import post, serving
from tests.pipelines.finished_run import DS

ASKED: dict[str, Any] = {
    "service": "ranker_v1",
    "scenario": "scenario-1",
    "user": "user-0",
    "items": ["item-0", "item-2", "item-1", "item-0", "never seen"],
}
ROW = {name: ASKED[name] for name in ("scenario", "user", "items")}


class Notes(list[tuple[str, FeatureBatch]]):
    def note(self, service: str, batch: FeatureBatch) -> None:
        self.append((service, batch))


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="module")
def url(store: FeatureStore, served: Settings, notes: Notes) -> Iterator[str]:
    limits = Limits(body=2_000, rows=6)
    with serving(Configuration(store, served.catalog, limits=limits, notes=notes)) as url:
        yield url


def wanted(folder: Path) -> Wanted:
    return Wanted(models=(Model(reference="pepnet@v1.0.0", folder=folder, digest="0" * 64),))


def plain(column: Any) -> list[Any]:
    if isinstance(column, np.ndarray):
        return [None if np.isnan(value) else float(np.float32(value)) for value in column]
    return column.to_pylist()


def in_process(store: FeatureStore, served: Settings, **asked: Any) -> dict[str, list[Any]]:
    columns = FeatureLookup(store, served.catalog, "ranker_v1").batch(**{**ROW, **asked}).columns
    return {name: plain(column) for name, column in columns.items()}


def float32s(values: list[Any]) -> list[Any]:
    return [float(np.float32(value)) if isinstance(value, float) else value for value in values]


def test_lookup_answers_what_a_lookup_in_process_does(
    url: str, store: FeatureStore, served: Settings
) -> None:
    answer = post(f"{url}/v1/lookup", ASKED).json()
    expected = in_process(store, served)
    assert list(answer["columns"]) == list(expected)
    assert {name: float32s(values) for name, values in answer["columns"].items()} == expected
    assert answer["degraded"] is False
    assert answer["instant"] == "2022-05-09T00:00:00Z"
    assert answer["statuses"]["user_profile"].keys() <= {"present", "null"}
    assert answer["statuses"]["item_profile"]["not found"] == 7, "all of the one item that is not known"


def test_arrow_holds_what_json_does(url: str) -> None:
    response = post(f"{url}/v1/lookup", ASKED, accept=ARROW)
    assert response.headers["Content-Type"] == ARROW
    table = pa.ipc.open_stream(response.content).read_all()
    json = post(f"{url}/v1/lookup", ASKED).json()
    told = {name: float32s(values) for name, values in json["columns"].items()}
    assert {name: float32s(values) for name, values in table.to_pydict().items()} == told
    assert table.schema.metadata[b"degraded"] == b"false"
    assert table.schema.metadata[b"instant"].startswith(b"2022-05-09T00:00:00")


def test_lookup_takes_the_hour_from_the_request(url: str) -> None:
    assert (
        post(f"{url}/v1/lookup", {**ASKED, "context": {"hour": "7"}}).json()["columns"]["hour"] == ["7"] * 5
    )


def test_lookup_of_no_items_has_empty_columns(url: str) -> None:
    columns = post(f"{url}/v1/lookup", {**ASKED, "items": []}).json()["columns"]
    assert columns
    assert all(values == [] for values in columns.values())


def test_lookup_is_offered_to_the_request_log(url: str, notes: Notes) -> None:
    notes.clear()
    post(f"{url}/v1/lookup", ASKED)
    [(service, batch)] = notes
    assert service == "ranker_v1"
    assert batch.size == 5


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"service": "unheard_of"}, 404, "it has ranker_v1"),
        ({"items": ["i"] * 7}, 422, "7 rows are asked for; a request may have 6"),
        ({"items": ["i" * 400] * 6}, 413, "may have 2,000 bytes"),
        ({"context": {"weather": "wet"}}, 422, "unknown context weather; there is hour"),
        ({"user": ""}, 422, "body.user"),
        ({"items": "item-0"}, 422, "body.items"),
        ({"surprise": 1}, 422, "body.surprise"),
    ],
)
def test_lookup_refuses_what_it_cannot_answer(url: str, change: Any, status: int, says: str) -> None:
    response = post(f"{url}/v1/lookup", {**ASKED, **change})
    assert response.status_code == status
    assert says in response.json()["detail"]


def test_body_without_a_length_is_cut_off_at_the_limit(url: str) -> None:
    parts = (b"x" * 500 for _ in range(50))
    response = requests.post(f"{url}/v1/lookup", data=parts, timeout=10)
    assert response.status_code == 413


def test_rank_says_what_to_run_when_no_model_is_published(url: str) -> None:
    response = post(f"{url}/v1/rank", ROW)
    assert response.status_code == 503
    assert "gatehouse publish" in response.json()["detail"]


def test_rank_answers_what_a_ranker_in_process_does(trained: Settings) -> None:
    store = open_store(trained.home)
    folder = trained.models / "pepnet" / f"ds={DS}"
    expected = Ranker(folder, lambda service: FeatureLookup(store, trained.catalog, service)).rank(
        **ROW, top=3
    )
    with serving(Configuration(store, trained.catalog, wanted=lambda: wanted(folder))) as url:
        answer = post(f"{url}/v1/rank", {**ROW, "top": 3}).json()
        assert post(f"{url}/v1/rank", {**ROW, "items": []}).json()["items"] == []
    assert answer["items"] == expected.items
    assert len(answer["items"]) == 3
    assert list(answer["scores"]) == list(expected.tasks)
    for place, scores in enumerate(answer["scores"].values()):
        assert np.array_equal(np.array(scores, np.float32), expected.scores[:, place])
    assert answer["model"] == "pepnet@v1.0.0"
    assert answer["degraded"] is False


def test_rank_wants_a_token_that_is_for_ranking(trained: Settings, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    reader = add_token(path, "reader", ["ranker_v1"], rank=False)
    ranker = add_token(path, "ranker", ["ranker_v1"], rank=True)
    stranger = add_token(path, "stranger", ["another_service"], rank=True)
    configuration = Configuration(
        open_store(trained.home),
        trained.catalog,
        tokens=Tokens(path),
        wanted=lambda: wanted(trained.models / "pepnet" / f"ds={DS}"),
    )
    with serving(configuration) as url:
        answers = {token: post(f"{url}/v1/rank", ROW, token) for token in (reader, stranger, ranker)}
    assert [answer.status_code for answer in answers.values()] == [403, 403, 200]
    assert "for lookups only" in answers[reader].json()["detail"]


def test_features_are_declared_defaults_and_flagged_when_the_store_goes_away(
    served: Settings, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(served.home, home)
    patience = Patience(attempts=1, failures=1, pause=0.0)
    with serving(Configuration(open_store(home), served.catalog, patience=patience)) as url:
        assert post(f"{url}/v1/lookup", ASKED).json()["degraded"] is False
        damage(home)
        answer = post(f"{url}/v1/lookup", ASKED).json()
        assert answer["degraded"] is True
        assert answer["statuses"]["user_engagement"].keys() == {"default"}
        assert answer["columns"]["user_engagement__impressions_1d"] == [0.0] * 5
        feast = post(
            f"{url}/get-online-features",
            {"features": ["item_engagement:click_rate_1d"], "entities": {"item_id": ["item-0"]}},
        )
        assert feast.status_code == 503, "Feast has no word for a default"
        assert feast.headers["Retry-After"]


def damage(home: Path) -> None:
    """Write over the store's file, which readers have open."""
    for path in (home / "feast").glob("online.db*"):
        path.write_bytes(b"\0" * 100_000)


def test_service_that_started_before_anything_was_served_answers_once_it_is(
    served: Settings, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "lake").mkdir(parents=True)
    shutil.copy(served.home / "params.yaml", home)
    shutil.copytree(served.home / "lake", home / "lake", dirs_exist_ok=True)
    settings = Settings(home=home)
    with serving(Configuration(open_store(home), settings.catalog)) as url:
        before = post(f"{url}/v1/lookup", ASKED)
        assert before.status_code == 503
        assert "gatehouse materialize" in before.json()["detail"]
        materialize(settings, served.dataset_params.days.end)
        assert post(f"{url}/v1/lookup", ASKED).status_code == 200
