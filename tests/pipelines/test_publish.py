from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import date, timedelta
from pathlib import Path

import gto.api
import pytest

from features.declarations.errors import GatehouseError
from pipelines.errors import GateError, MissingPartitionError, PublishError
from pipelines.promotion.verdict import Champion
from pipelines.publish import publish
from pipelines.registry import Registry, production_reference, pull
from pipelines.registry.moves import rollback
from pipelines.registry.publication import PUBLICATION, Publication
from pipelines.settings import Settings
from tests.pipelines.published_models import DS, metrics, write_model, write_passed, write_verdict

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_git_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Publishing must not need a configured git."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def ready(simulated_settings: Settings) -> Settings:
    write_passed(simulated_settings, "weights")
    return simulated_settings


def _tags(settings: Settings) -> list[str]:
    url = Registry.of(settings).url
    return subprocess.run(
        ["git", "tag"], cwd=url, check=True, capture_output=True, text=True
    ).stdout.split()  # fmt: skip


def test_publish_makes_a_gto_version_in_production_and_a_note_when_the_model_passed(ready: Settings) -> None:
    version = publish(ready, DS)
    assert _tags(ready) == ["pepnet#prod#1", "pepnet@v1.0.0"]
    (shown,) = gto.api.show(Registry.of(ready).url, "pepnet")
    assert (shown["version"], shown["commit_hexsha"]) == ("v1.0.0", version.commit)
    assert [stage["stage"] for stage in shown["stages"]] == ["prod"]
    note = json.loads((ready.home / "registry" / "simulated" / "published.json").read_text())
    assert note == {
        "model": "pepnet", "version": "v1.0.0", "ds": "2026-01-06",
        "commit": version.commit, "hashes": version.digest,
    }  # fmt: skip
    assert publish(ready, DS) == version, "it is found"
    assert _tags(ready) == ["pepnet#prod#1", "pepnet@v1.0.0"]
    assert json.loads((ready.runs / "publish.json").read_text())["new"] is False


def test_published_card_tells_metrics_champion_and_source(
    simulated_settings: Settings, tmp_path: Path
) -> None:
    settings = simulated_settings
    (settings.home / "dvc.lock").write_text("stages: {}\n")
    day_before = DS - timedelta(days=1)
    write_passed(settings, "weights of the champion", day_before)
    standing = publish(settings, day_before)
    champion = Champion(
        model="pepnet", version="v1.0.0", ds=str(day_before), hashes=standing.digest, production=True,
        metrics=metrics(0.69),
    )  # fmt: skip
    write_model(settings, "weights", columns=("user_profile__country",))
    write_verdict(settings, auc=0.71, champion=champion)
    version = publish(settings, DS)
    folder = pull(settings, "pepnet@prod", tmp_path / "model")
    publication = Publication.load(folder / PUBLICATION)
    assert publication.trained == version.digest
    assert publication.metrics == metrics(0.71)
    assert publication.champion == champion
    assert publication.card.columns == ("user_id", "user_profile__country")
    assert publication.source.lock == hashlib.sha256(b"stages: {}\n").hexdigest()
    params = hashlib.sha256((settings.home / "params.yaml").read_bytes()).hexdigest()
    assert publication.source.params == params
    page = (folder / "card.md").read_text()
    assert "AUC of click 0.7100, the champion's 0.6900" in page
    assert "| feed | click | 500 | 0.7100 |" in page
    assert "## Limits" in page


def test_publish_is_a_new_version_when_the_same_files_are_of_another_day(copied: Settings) -> None:
    next_day = DS + timedelta(days=1)
    write_passed(copied, "third", next_day)
    assert publish(copied, next_day).name == "v4.0.0"
    assert production_reference(copied, "pepnet") == "pepnet@v4.0.0"


def test_publish_leaves_production_alone_when_it_holds_a_later_day(copied: Settings) -> None:
    write_passed(copied, "a day that was late", date(2026, 1, 3))
    assert publish(copied, date(2026, 1, 3)).name == "v4.0.0"
    assert production_reference(copied, "pepnet") == "pepnet@v3.0.0"


def test_publish_leaves_production_where_somebody_went_back_when_it_runs_again(copied: Settings) -> None:
    rollback(copied, "pepnet")
    assert publish(copied, DS).name == "v3.0.0"
    assert production_reference(copied, "pepnet") == "pepnet@v2.0.0"


def test_publish_is_refused_when_production_moved_after_the_verdict(copied: Settings) -> None:
    tomorrow = DS + timedelta(days=1)
    write_passed(copied, "fourth", tomorrow)
    rollback(copied, "pepnet")
    before = _tags(copied)
    with pytest.raises(
        PublishError,
        match=r"judged against pepnet@v3\.0\.0, and by now pepnet@v2\.0\.0 is its champion; "
        rf"run `gatehouse promote --ds {tomorrow}` again",
    ):
        publish(copied, tomorrow)
    assert _tags(copied) == before
    write_verdict(copied, tomorrow)
    version = publish(copied, tomorrow)
    assert (version.name, production_reference(copied, "pepnet")) == ("v4.0.0", "pepnet@v4.0.0")
    write_verdict(copied, tomorrow)  # judged again, against the same opponent: it is not its own champion
    assert publish(copied, tomorrow) == version, "it is found"
    rollback(copied, "pepnet")
    assert publish(copied, tomorrow) == version, "what is there needs no verdict on what is there"
    assert production_reference(copied, "pepnet") == "pepnet@v2.0.0"


def test_publish_is_refused_when_the_first_version_came_after_the_verdict(copied: Settings) -> None:
    write_model(copied, "another first")
    write_verdict(copied, champion=None)
    with pytest.raises(PublishError, match=r"judged against no champion, and by now pepnet@v3\.0\.0 is"):
        publish(copied, DS)


def test_publish_is_refused_when_the_champion_is_of_another_registry(
    ready: Settings, copied: Settings
) -> None:
    write_passed(copied, "fourth")
    elsewhere = Settings(home=copied.home, registry=str(ready.home / "other.git"), registry_remote="s3://x/y")
    subprocess.run(["git", "init", "--quiet", "--bare", str(ready.home / "other.git")], check=True)
    with pytest.raises(PublishError, match=r"judged against pepnet@v3\.0\.0, and by now nobody is"):
        publish(elsewhere, DS)


def test_publish_is_refused_for_good_when_the_model_failed(ready: Settings) -> None:
    write_verdict(ready, passed=False)
    with pytest.raises(GateError, match=r"AUC of click fell by 0\.2"):
        publish(ready, DS)
    assert not Path(Registry.of(ready).url).exists()


def test_publish_is_refused_when_the_model_was_not_judged(simulated_settings: Settings) -> None:
    write_model(simulated_settings, "weights")
    with pytest.raises(MissingPartitionError, match="gatehouse promote"):
        publish(simulated_settings, DS)


def test_publish_is_refused_when_the_verdict_is_on_another_model(ready: Settings) -> None:
    write_verdict(ready, name="m2m")
    with pytest.raises(PublishError, match="on other files than those of pepnet"):
        publish(ready, DS)


def test_publish_is_refused_when_the_model_was_trained_again_after_its_verdict(ready: Settings) -> None:
    write_model(ready, "unseen weights")
    with pytest.raises(PublishError, match="gatehouse promote --ds 2026-01-06"):
        publish(ready, DS)


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "code.py"])
def test_publish_is_refused_when_a_file_could_carry_code(ready: Settings, name: str) -> None:
    (ready.models / "pepnet" / f"ds={DS}" / name).write_bytes(b"\x80\x04.")
    with pytest.raises(PublishError, match=name):
        publish(ready, DS)


def test_publish_is_refused_when_a_file_was_altered_after_training(ready: Settings) -> None:
    (ready.models / "pepnet" / f"ds={DS}" / "model.safetensors").write_text("other weights")
    with pytest.raises(GatehouseError, match="not the file that was written"):
        publish(ready, DS)


def test_publish_leaves_nothing_when_the_registry_refuses_the_push(copied: Settings) -> None:
    before = _tags(copied)
    hook = Path(Registry.of(copied).url) / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/tags/*) echo tags are frozen; exit 1;; esac\n')
    hook.chmod(0o755)
    write_passed(copied, "better weights")
    with pytest.raises(PublishError, match=r"run `gatehouse publish` again .*tags are frozen"):
        publish(copied, DS)
    assert _tags(copied) == before


def test_publish_goes_on_when_a_killed_push_has_left_git_locked(copied: Settings) -> None:
    bare = Path(Registry.of(copied).url)
    for lock in ("refs/heads/main.lock", "packed-refs.lock"):
        (bare / lock).touch()
    write_passed(copied, "new weights")
    assert publish(copied, DS).name == "v4.0.0"
