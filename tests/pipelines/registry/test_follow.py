"""The registry's prod moves, and the service follows: real registry, real models, requests all the while."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gto.api
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from features.serving.lookup import FeatureLookup
from features.serving.ranking import Ranker
from features.store import open_store
from pipelines.children import git
from pipelines.publish import publish
from pipelines.registry import Registry, pull
from pipelines.registry.follow import Follower, read_wanted
from pipelines.settings import Settings
from tests.features.serving.running import post, wait_until
from tests.pipelines.finished_run import DS, write_model_of
from tests.pipelines.published_models import write_verdict
from tests.pipelines.servable import servable
from tests.pipelines.service_process import command

pytestmark = pytest.mark.slow

ASKED = {"scenario": "scenario-1", "user": "user-0", "items": ["item-0", "item-2", "item-1", "never seen"]}
GOOD = ("pepnet@v1.0.0", "pepnet@v2.0.0")
BROKEN = "pepnet@v3.0.0"
Scores = dict[str, list[float]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, Scores]]:
    """A home with three versions, of which the third was altered in the storage; and what the others say."""
    settings = servable(tmp_path_factory.mktemp("followed"))
    folder = settings.models / "pepnet" / f"ds={DS}"
    store = open_store(settings.home)
    scores: dict[str, Scores] = {}
    for seed, reference in enumerate((*GOOD, BROKEN)):
        write_model_of(settings, "pepnet", seed=seed)
        write_verdict(settings, DS)
        assert publish(settings, DS).tag == reference
        if reference in GOOD:
            ranker = Ranker(folder, partial(FeatureLookup, store, settings.catalog))
            ranking = ranker.rank(**ASKED)
            scores[reference] = {
                task: ranking.scores[:, place].tolist() for place, task in enumerate(ranking.tasks)
            }
            pull(settings, reference, settings.runs / "pulled" / reference.replace("@", "-"))
    whole = (folder / "model.safetensors").read_bytes()
    put_instead(settings, whole, forged(whole))
    return settings, scores


@pytest.fixture
def own(published: tuple[Settings, dict[str, Scores]], tmp_path: Path) -> Settings:
    """A home that a test may change; its prod stands on the first version."""
    shutil.copytree(published[0].home, tmp_path / "home")
    settings = Settings(home=tmp_path / "home")
    move_prod(settings, GOOD[0])
    return settings


def put_instead(settings: Settings, old: bytes, new: bytes) -> None:
    """Let the storage hold `new` where it holds `old`."""
    files = (path for path in Path(Registry.of(settings).remote or "").rglob("*") if path.is_file())
    [path] = [path for path in files if path.read_bytes() == old]
    path.chmod(0o644)
    path.write_bytes(new)


def forged(content: bytes) -> bytes:
    """`content` with its last bit flipped."""
    return content[:-1] + bytes([content[-1] ^ 1])


def served(follower: Follower) -> list[str]:
    """The versions that workers are told to serve, the wanted one first."""
    return [model.reference for model in read_wanted(follower.note).models]


def move_prod(settings: Settings, reference: str) -> None:
    model, _, version = reference.partition("@")
    with Registry.of(settings).clone() as clone:
        gto.api.assign(
            str(clone), model, "prod", version=version, message="for a test", force=True,
            author="test", author_email="test@localhost",
        )  # fmt: skip
        git("push", "--quiet", "--tags", "origin", cwd=clone)


@contextmanager
def hammered(url: str, threads: int) -> Iterator[list[Any]]:
    """Ask for rankings without a pause from several threads; yields the answers so far."""
    answers: list[Any] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            response = requests.post(f"{url}/v1/rank", json=ASKED, timeout=60)  # a connection of its own
            answers.append((response.status_code, response.json()))

    with ThreadPoolExecutor(threads) as pool:
        asking = [pool.submit(ask) for _ in range(threads)]
        try:
            yield answers
        finally:
            stop.set()
        for one in asking:
            one.result()


def workers_with(url: str, name: str, reference: str) -> float:
    """How many workers say so of a version."""
    families = text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=60).text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and sample.labels.get("version") == reference
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_dropped_while_prod_moves_on_and_back(
    own: Settings, published: tuple[Settings, dict[str, Scores]], workers: int
) -> None:
    first, second = GOOD
    arguments = ("--workers", str(workers))
    with (
        command(own.home, *arguments, GATEHOUSE_MODEL_POLL_SECONDS="0.2") as (url, _),
        hammered(url, threads=2) as answers,
    ):

        def wait_for(name: str, reference: str) -> None:
            wait_until(lambda: workers_with(url, name, reference) == workers, 240)

        wait_for("gatehouse_model_info", first)
        move_prod(own, second)
        wait_for("gatehouse_model_info", second)
        move_prod(own, BROKEN)
        wait_for("gatehouse_model_refusals_total", BROKEN)
        assert post(f"{url}/v1/rank", ASKED).json()["model"] == second
        assert requests.get(f"{url}/readyz", timeout=60).json()["model"] == second
        move_prod(own, first)
        wait_for("gatehouse_model_info", first)
        seen = len(answers)
        wait_until(lambda: len(answers) > seen + 3 * workers)
    assert {status for status, _ in answers} == {200}
    assert {answer["model"] for _, answer in answers} == set(GOOD)
    for _, answer in answers:
        for task, scores in published[1][answer["model"]].items():
            assert answer["scores"][task] == pytest.approx(scores, abs=1e-6)
    assert answers[-1][1]["model"] == first


def test_rollback_is_ready_without_the_storage_once_it_was_fetched(own: Settings) -> None:
    follower = Follower(own)
    follower.turn()
    move_prod(own, GOOD[1])
    follower.turn()
    assert served(follower) == [GOOD[1], GOOD[0]]
    shutil.rmtree(Registry.of(own).remote or "")
    move_prod(own, GOOD[0])
    follower.turn()
    assert served(follower) == [GOOD[0], GOOD[1]]


def test_kept_version_is_fetched_again_when_its_files_were_altered(own: Settings) -> None:
    follower = Follower(own)
    follower.turn()
    weights = own.runs / "pulled" / "pepnet-v1.0.0" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(forged(whole))
    Follower(own).turn()
    assert served(follower) == [GOOD[0]]
    assert weights.read_bytes() == whole


def test_service_that_starts_while_the_registry_is_away_serves_what_was_served_last(own: Settings) -> None:
    Follower(own).turn()
    Registry.of(own).local.rename(own.home / "away")  # type: ignore[union-attr]
    follower = Follower(own)
    follower.turn()
    assert served(follower) == [GOOD[0]]
    (own.runs / "pulled" / "pepnet-v1.0.0" / "card.md").write_text("forged")
    Follower(own).turn()
    assert served(follower) == [], "what does not verify is not served"


def test_broken_version_is_named_and_taken_once_the_storage_is_mended(own: Settings) -> None:
    now = [0.0]
    follower = Follower(own, clock=lambda: now[0])
    follower.turn()
    move_prod(own, BROKEN)
    follower.turn()
    wanted = read_wanted(follower.note)
    assert served(follower) == [GOOD[0]]
    assert list(wanted.refused) == [BROKEN]
    whole = (own.models / "pepnet" / f"ds={DS}" / "model.safetensors").read_bytes()
    put_instead(own, forged(whole), whole)
    follower.turn()
    assert served(follower) == [GOOD[0]], "it is not fetched again every few seconds"
    now[0] = 61.0
    follower.turn()
    assert served(follower) == [BROKEN, GOOD[0]]
    assert read_wanted(follower.note).refused == {}


def test_newest_version_is_wanted_where_nothing_stands_on_prod(own: Settings) -> None:
    with Registry.of(own).clone() as clone:
        tags = git("tag", "--list", "pepnet#prod#*", cwd=clone).split()
        git("push", "--quiet", "--delete", "origin", *tags, cwd=clone)
        git("push", "--quiet", "--delete", "origin", BROKEN, cwd=clone)
    follower = Follower(own)
    follower.turn()
    assert served(follower) == [GOOD[1]]
