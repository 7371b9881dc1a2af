"""The `gatehouse models` commands, and what plain DVC sees after them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.children import git
from pipelines.cli import app
from pipelines.errors import PublishError
from pipelines.publish import publish
from pipelines.registry import Registry, in_production, production_reference, versions
from pipelines.registry.production import assign, way_back
from pipelines.settings import Settings
from tests.pipelines.published_models import write_passed

pytestmark = pytest.mark.slow

Run = Callable[..., str]


@pytest.fixture
def run(copied: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `gatehouse models ...` on the copied registry and return what it printed."""
    monkeypatch.setenv("GATEHOUSE_HOME", str(copied.home))

    def invoke(*arguments: str) -> str:
        return CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False).output

    return invoke


@pytest.fixture
def clone(copied: Settings, tmp_path: Path) -> Path:
    """A clone in which tags can be made freely."""
    git("clone", "--quiet", Registry.of(copied).url, str(tmp_path / "clone"), cwd=tmp_path)
    return tmp_path / "clone"


def consumed(settings: Settings, into: Path, *arguments: str) -> str:
    """The weights that plain `dvc ...` gives to somebody who has no Gatehouse."""
    subprocess.run([sys.executable, "-m", "dvc", *arguments, "--out", str(into)], cwd=into.parent, check=True)
    weights = (into / "model.safetensors").read_text()
    shutil.rmtree(into)
    return weights


def test_rollback_gives_the_version_before_to_everybody_within_ten_seconds(
    copied: Settings, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry.of(copied)
    began, spent = time.perf_counter(), sum(os.times()[:4])
    said = run("rollback", "pepnet")
    seconds = sum(os.times()[:4]) - spent  # of work, its children's too: other tests run beside this one
    with capsys.disabled():
        print(f"\nrollback took {time.perf_counter() - began:.2f} s, {seconds:.2f} s of work")  # noqa: T201
    assert "pepnet@v2.0.0 of 2026-01-05 is in production instead of pepnet@v3.0.0" in said
    assert seconds < 10
    assert production_reference(copied, "pepnet") == "pepnet@v2.0.0"
    # The copy keeps its files elsewhere than its committed configuration says.
    artifact = ("artifacts", "get", registry.url, "pepnet", "--stage", "prod")
    assert consumed(copied, tmp_path / "got", *artifact) == "second"
    file = ("get", registry.url, "models/pepnet", "--rev", "pepnet#prod#4")
    assert consumed(copied, tmp_path / "got", *file) == "second"


def test_rollback_goes_further_back_when_it_is_asked_twice(copied: Settings, run: Run) -> None:
    run("rollback", "pepnet")
    run("rollback", "pepnet")
    assert production_reference(copied, "pepnet") == "pepnet@v1.0.0"
    with pytest.raises(PublishError, match=r"nothing was in production before pepnet@v1\.0\.0"):
        run("rollback", "pepnet")


def test_rollback_goes_to_the_version_that_is_named(copied: Settings, run: Run) -> None:
    run("rollback", "pepnet", "--to", "v1")
    assert production_reference(copied, "pepnet") == "pepnet@v1.0.0"
    with pytest.raises(PublishError, match=r"gatehouse models promote"):
        run("rollback", "pepnet", "--to", "v3")


def test_rollback_after_a_rollback_and_a_new_version_skips_what_was_left(clone: Path) -> None:
    first, second, third = versions(clone, "pepnet")
    assign(clone, second, back=True)
    assign(clone, first, back=True)
    assert way_back(clone, "pepnet") == [first]
    assign(clone, third)
    assert way_back(clone, "pepnet") == [first, third]
    assign(clone, second)
    assert way_back(clone, "pepnet") == [first, third, second], "a promotion is no way back"
    assign(clone, third, back=True)
    assert way_back(clone, "pepnet") == [first, third]


def test_dvc_takes_the_last_assignment_when_many_were_made_within_a_second(clone: Path) -> None:
    from dvc.repo import Repo

    published = versions(clone, "pepnet")
    for number in range(4, 13):
        version = published[number % 3]
        assert assign(clone, version) == f"pepnet#prod#{number}"
        with Repo(str(clone)) as repo:
            assert repo.artifacts.get_rev("pepnet", stage="prod") == version.commit
        assert in_production(clone, "pepnet") == version


def test_production_is_the_newest_whole_one_when_a_stage_tag_lost_its_version(clone: Path) -> None:
    third = versions(clone, "pepnet")[-1]
    assign(clone, third)
    git("tag", "--delete", third.tag, cwd=clone)
    assert in_production(clone, "pepnet") == versions(clone, "pepnet")[-1]


def test_promote_moves_production_to_any_version(copied: Settings, run: Run) -> None:
    assert "pepnet@v1.0.0 of 2026-01-04 is in production" in run("promote", "pepnet@v1")
    assert production_reference(copied, "pepnet") == "pepnet@v1.0.0"
    with Registry.of(copied).clone() as clone:
        tags = git("tag", cwd=clone)
    run("promote", "pepnet@prod")
    with Registry.of(copied).clone() as clone:
        assert git("tag", cwd=clone) == tags, "it is there already"


def test_promote_is_refused_when_the_files_do_not_verify(copied: Settings, run: Run) -> None:
    for path in Path(Registry.of(copied).remote or "").rglob("*"):
        if path.is_file() and path.read_bytes() == b"first":
            path.chmod(0o644)
            path.write_bytes(b"forged")
    with pytest.raises(PublishError, match=r"pepnet@v1\.0\.0 cannot be put into production"):
        run("promote", "pepnet@v1")
    assert production_reference(copied, "pepnet") == "pepnet@v3.0.0"


def test_list_shows_day_stage_and_metrics_of_each_version(run: Run) -> None:
    lines = run("list").splitlines()
    rows = [line for line in lines if "pepnet@" in line]
    assert [row.split("│")[1].strip() for row in rows] == ["pepnet@v3.0.0", "pepnet@v2.0.0", "pepnet@v1.0.0"]
    assert [" prod " in row for row in rows] == [True, False, False]
    assert all(text in rows[1] for text in ("2026-01-05", "0.7200", "0.7000"))


def test_show_prints_the_card_of_the_version_in_production(run: Run) -> None:
    page = run("show", "pepnet@prod")
    assert "pepnet@v3.0.0" in page
    for text in ("Held-out days", "Limits", "Licence", "made up", "params.yaml"):
        assert text in page


def test_diff_compares_metrics_settings_days_and_features(copied: Settings, run: Run) -> None:
    params = copied.home / "params.yaml"
    before = copied.params.train.lr
    params.write_text(params.read_text().replace(f" lr: {before}\n", " lr: 0.005\n"))
    changed = Settings(home=copied.home)
    day = date(2026, 1, 7)
    write_passed(changed, "fourth", day, auc=0.75, columns=("item_profile__author",))
    publish(changed, day)
    said = run("diff", "pepnet@v3", "pepnet@prod")
    (feed,) = [line for line in said.splitlines() if " feed " in line]
    assert [cell.strip() for cell in feed.split("│")[3:6]] == ["0.7000", "0.7500", "+0.0500"]
    assert "measured on different days" in said
    (rate,) = [line for line in said.splitlines() if "│ lr " in line]
    assert [cell.strip() for cell in rate.split("│")[1:4]] == ["lr", str(before), "0.005"]
    assert "Only pepnet@v4.0.0 reads item_profile__author." in said


def test_commands_say_how_to_begin_when_nothing_was_published(
    simulated_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(simulated_settings.home))
    with pytest.raises(PublishError, match="gatehouse publish"):
        CliRunner().invoke(app, ["models", "list"], catch_exceptions=False)
