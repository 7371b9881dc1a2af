from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import gto.api
import pytest

from features.declarations.errors import GatehouseError
from pipelines.errors import GateError, MissingPartitionError, PublishError
from pipelines.publish import publish
from pipelines.registry import Registry
from pipelines.settings import Settings
from tests.pipelines.published_models import DS, write_model, write_verdict

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_git_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Publishing must not need a configured git."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def ready(simulated_settings: Settings) -> Settings:
    write_model(simulated_settings, "weights")
    write_verdict(simulated_settings)
    return simulated_settings


def _tags(settings: Settings) -> list[str]:
    url = Registry.of(settings).url
    return subprocess.run(
        ["git", "tag"], cwd=url, check=True, capture_output=True, text=True
    ).stdout.split()  # fmt: skip


def test_publish_makes_a_gto_version_and_a_note_when_the_model_passed(ready: Settings) -> None:
    version = publish(ready, DS)
    assert _tags(ready) == ["pepnet@v1.0.0"]
    (shown,) = gto.api.show(Registry.of(ready).url, "pepnet")
    assert (shown["version"], shown["commit_hexsha"]) == ("v1.0.0", version.commit)
    note = json.loads((ready.home / "registry" / "simulated" / "published.json").read_text())
    assert note == {
        "model": "pepnet", "version": "v1.0.0", "ds": "2026-01-06",
        "commit": version.commit, "hashes": version.digest,
    }  # fmt: skip


def test_publish_finds_the_same_version_when_it_runs_again(ready: Settings) -> None:
    assert publish(ready, DS) == publish(ready, DS)
    assert _tags(ready) == ["pepnet@v1.0.0"]
    assert json.loads((ready.runs / "publish.json").read_text())["new"] is False


def test_publish_counts_up_when_the_weights_or_the_day_changed(ready: Settings) -> None:
    publish(ready, DS)
    write_model(ready, "better weights")
    write_verdict(ready)
    publish(ready, DS)
    next_day = date(2026, 1, 7)
    write_model(ready, "better weights", next_day)
    write_verdict(ready, next_day)
    assert publish(ready, next_day).name == "v3.0.0"
    assert _tags(ready) == ["pepnet@v1.0.0", "pepnet@v2.0.0", "pepnet@v3.0.0"]


def test_publish_is_refused_for_good_when_the_model_failed(ready: Settings) -> None:
    write_verdict(ready, passed=False)
    with pytest.raises(GateError, match=r"AUC of click fell by 0\.2"):
        publish(ready, DS)
    assert not Path(Registry.of(ready).url).exists()


def test_publish_is_refused_when_the_model_was_not_evaluated(simulated_settings: Settings) -> None:
    write_model(simulated_settings, "weights")
    with pytest.raises(MissingPartitionError, match="gatehouse evaluate"):
        publish(simulated_settings, DS)


def test_publish_is_refused_when_the_evaluation_judged_another_model(ready: Settings) -> None:
    write_verdict(ready, name="m2m")
    with pytest.raises(PublishError, match="judged other files than those of pepnet"):
        publish(ready, DS)


def test_publish_is_refused_when_the_model_was_trained_again_after_its_evaluation(ready: Settings) -> None:
    write_model(ready, "unseen weights")
    with pytest.raises(PublishError, match="gatehouse evaluate --ds 2026-01-06"):
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


def test_publish_leaves_no_version_when_the_registry_refuses_the_push(ready: Settings) -> None:
    publish(ready, DS)
    hook = Path(Registry.of(ready).url) / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/tags/*) exit 1;; esac\n')
    hook.chmod(0o755)
    write_model(ready, "better weights")
    write_verdict(ready)
    with pytest.raises(PublishError, match="run `gatehouse publish` again"):
        publish(ready, DS)
    assert _tags(ready) == ["pepnet@v1.0.0"]
    hook.unlink()
    assert publish(ready, DS).name == "v2.0.0"


def test_publish_makes_one_version_when_two_publishers_race(ready: Settings) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: publish(ready, DS), range(2))
    assert first == second
    assert _tags(ready) == ["pepnet@v1.0.0"]


def test_publish_goes_on_when_a_killed_push_has_left_git_locked(ready: Settings) -> None:
    publish(ready, DS)
    bare = Path(Registry.of(ready).url)
    for lock in ("refs/heads/main.lock", "packed-refs.lock"):
        (bare / lock).touch()
    write_model(ready, "new weights")
    write_verdict(ready)
    assert publish(ready, DS).name == "v2.0.0"
