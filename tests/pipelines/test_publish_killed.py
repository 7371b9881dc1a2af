"""Publishing that is killed, and publishing that meets another publisher."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipelines.children import git
from pipelines.publish import publish
from pipelines.registry import Registry, in_production, pull, versions
from pipelines.registry.publication import PUBLICATION, Publication
from pipelines.registry.versions import Version
from pipelines.settings import CHECKOUT, Settings
from tests.pipelines.published_models import DS, write_passed

pytestmark = pytest.mark.slow

KILL_ALL = '#!/bin/sh\nkill -9 "-$(cat "{home}/publisher.group")"\n'


@pytest.fixture(scope="module")
def published(published_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with versions; every test adds one, on top of what was left by the kills before."""
    return shutil.copytree(published_home, tmp_path_factory.mktemp("killed") / "home")


def start(
    home: Path, moment: str, command: str, port: int = 0, ds: date = DS, **environment: str
) -> subprocess.Popen[str]:
    arguments = (str(ds), str(home), moment, command, str(port))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.pipelines.killed_publisher", *arguments],
        cwd=CHECKOUT, env={**os.environ, **environment}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def killed(home: Path, moment: str, command: str) -> bool:
    publisher = start(home, moment, command)
    said = publisher.communicate()[0]
    assert publisher.returncode in (0, -signal.SIGKILL), said
    return publisher.returncode != 0


def state(settings: Settings) -> tuple[list[Version], Version | None]:
    with Registry.of(settings).clone() as clone:
        return versions(clone, "pepnet"), in_production(clone, "pepnet")


def require_production_pulls(settings: Settings, into: Path) -> None:
    """Production is there after the kill, and its files are those of its tag."""
    _, standing = state(settings)
    assert standing is not None
    pulled = pull(settings, "pepnet@prod", into)
    assert Publication.load(pulled / PUBLICATION).trained == standing.digest


def require_one_more(settings: Settings, before: list[Version]) -> None:
    """Publishing again ends with one version more than before the kill, in production."""
    version = publish(settings, DS)
    after, standing = state(settings)
    assert after == [*before, version]
    assert standing == version


@pytest.mark.parametrize(
    "command", ["git clone", "dvc add", "dvc push", "git commit", "git tag", "dvc get", "git push"]
)
def test_publish_ends_with_one_version_when_it_was_killed_after(
    published: Path, tmp_path: Path, command: str
) -> None:
    settings = Settings(home=published)
    before, _ = state(settings)
    write_passed(settings, f"killed after {command}")
    assert killed(published, "after", command)
    require_production_pulls(settings, tmp_path / "model")
    require_one_more(settings, before)


@pytest.mark.parametrize("hook", ["pre-receive", "post-receive"])
def test_publish_ends_with_one_version_when_all_was_killed_while_the_registry_took_the_push(
    published: Path, tmp_path: Path, hook: str
) -> None:
    settings = Settings(home=published)
    before, _ = state(settings)
    write_passed(settings, hook)
    script = Path(Registry.of(settings).url) / "hooks" / hook
    script.write_text(KILL_ALL.format(home=published))
    script.chmod(0o755)
    assert killed(published, "never", "")
    script.unlink()
    require_production_pulls(settings, tmp_path / "model")
    require_one_more(settings, before)


def test_publish_completes_the_remote_when_it_was_killed_within_the_upload(
    published: Path, tmp_path: Path
) -> None:
    settings = Settings(home=published)
    before, _ = state(settings)
    write_passed(settings, "half an upload")
    remote = Path(Registry.of(settings).remote or "")
    known = set(remote.rglob("*"))
    assert killed(published, "after", "dvc push")
    uploaded = sorted(path for path in remote.rglob("*") if path not in known and path.is_file())
    lists = [path for path in uploaded if path.suffix == ".dir"]
    files = [path for path in uploaded if path.suffix != ".dir"]
    assert len(lists) == 1
    assert len(files) > 2
    for path in (*lists, *files[::2]):  # DVC sends the list of files last, when all of them are there
        path.unlink()
    require_production_pulls(settings, tmp_path / "model")
    require_one_more(settings, before)


def test_publish_begins_anew_when_it_was_killed_before_there_was_any_version(
    simulated_settings: Settings,
) -> None:
    write_passed(simulated_settings, "first")
    assert killed(simulated_settings.home, "after", "git clone")
    require_one_more(simulated_settings, [])


def at_once(
    published: Path, tmp_path: Path, models: tuple[tuple[str, date], tuple[str, date]]
) -> tuple[list[Version], list[tuple[int, str]]]:
    """Two homes publish their models to one registry; both push at the same moment.

    Returns:
        The versions that this added, and exit status and output of each publisher.
    """
    before, _ = state(Settings(home=published))
    registry = Registry.of(Settings(home=published))
    shared = {"GATEHOUSE_REGISTRY": registry.url, "GATEHOUSE_REGISTRY_REMOTE": registry.remote or ""}
    homes = [shutil.copytree(published, tmp_path / name) for name in ("a", "b")]
    for folder, (weights, ds) in zip(homes, models, strict=True):
        write_passed(Settings(home=folder), f"{weights} at once", ds)
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(200)  # should a publisher fail before it pushes
        port = gate.getsockname()[1]
        publishers = [
            start(folder, "hold", "git push", port, ds, **shared)
            for folder, (_, ds) in zip(homes, models, strict=True)
        ]
        held = [gate.accept()[0] for _ in publishers]
        for connection in held:
            connection.sendall(b"!")
    said = [publisher.communicate()[0] for publisher in publishers]
    after, standing = state(Settings(home=published))
    assert after[: len(before)] == before
    assert standing is not None
    assert (standing.ds, standing) == (str(DS), [version for version in after if version.ds == str(DS)][-1])
    assert git("rev-parse", "main", cwd=Path(registry.url)).strip() == after[-1].commit
    return after[len(before) :], [
        (publisher.returncode, text) for publisher, text in zip(publishers, said, strict=True)
    ]


@pytest.mark.parametrize(
    "models",
    [
        pytest.param((("same", DS), ("same", DS)), id="the same"),
        pytest.param((("today's", DS), ("yesterday's", DS - timedelta(days=1))), id="two days"),
    ],
)
def test_publishers_both_end_well_when_two_push_at_the_same_moment(
    published: Path, tmp_path: Path, models: tuple[tuple[str, date], tuple[str, date]]
) -> None:
    added, ended = at_once(published, tmp_path, models)
    assert [status for status, _ in ended] == [0, 0], ended
    assert len(added) == len(set(models))


def test_publisher_is_refused_when_another_takes_the_champions_place_at_the_same_moment(
    published: Path, tmp_path: Path
) -> None:
    added, ended = at_once(published, tmp_path, (("one", DS), ("other", DS)))
    assert len(added) == 1
    (won, _), (lost, said) = sorted(ended)
    assert (won, lost) == (0, 1)
    assert f"by now {added[0].tag} is its champion; run `gatehouse promote --ds {DS}` again" in said
