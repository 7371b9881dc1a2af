"""The registry's files on a real S3 server that asks for a key; the environment is all that is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines import children
from pipelines.children import git
from pipelines.errors import PublishError
from pipelines.publish import publish
from pipelines.registry import Registry, production_reference, pull
from pipelines.registry.moves import promote, rollback
from pipelines.settings import Settings
from tests.homes import TINY, make_home
from tests.pipelines.published_models import DS, write_passed
from tests.s3 import Bucket, bucket

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with bucket(tmp_path_factory.mktemp("s3") / "served") as running:
        yield running


@pytest.fixture(autouse=True)
def _environment(served: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def home(served: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has published two versions to the bucket; whatever a test breaks, it mends."""
    home = make_home(tmp_path_factory.mktemp("home") / "home", "simulated", datasets={"simulated": TINY})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in served.environment.items():
            patch.setenv(name, value)
        for age, weights in ((2, "first"), (1, "second")):
            write_passed(of(home), weights, DS - timedelta(days=age))
            publish(of(home), DS - timedelta(days=age))
    return home


@pytest.fixture
def settings(home: Path) -> Settings:
    return of(home)


def of(home: Path) -> Settings:
    return Settings(home=home, registry_remote="s3://models/gatehouse")


def weights(folder: Path) -> str:
    return (folder / "model.safetensors").read_text()


def object_of(served: Bucket, content: bytes) -> Path:
    [found] = [path for path in served.objects() if path.read_bytes() == content]
    return found


def test_versions_are_pulled_promoted_and_rolled_back(settings: Settings, tmp_path: Path) -> None:
    promote(settings, "pepnet@v1")
    assert weights(pull(settings, "pepnet@prod", tmp_path / "model")) == "first"
    left, standing = rollback(settings, "pepnet")
    assert (left.name, standing.name) == ("v1.0.0", "v2.0.0")
    assert weights(pull(settings, "pepnet@prod", tmp_path / "model")) == "second"


def test_files_are_in_the_bucket_and_the_key_is_nowhere(settings: Settings, served: Bucket) -> None:
    assert {b"first", b"second"} <= {path.read_bytes() for path in served.objects()}
    registry = settings.home / "registry" / "simulated"
    assert not (registry / "remote").exists()
    history = git("log", "--patch", "--all", cwd=registry / "models.git")
    assert "s3://models/gatehouse" in history, "whoever reads the registry finds its files"
    written = [path.read_bytes() for path in settings.home.rglob("*") if path.is_file()]
    for told in (served.key, served.secret):
        assert told not in history
        assert not [content for content in written if told.encode() in content]


def test_production_stays_and_one_line_says_why_when_the_key_is_wrong(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "an0ther-s3cr3t")
    write_passed(settings, "a third that nobody lets in")
    with pytest.raises(PublishError, match=r"`dvc push` failed: .*Forbidden") as refused:
        publish(settings, DS)
    assert "\n" not in str(refused.value)
    assert "an0ther-s3cr3t" not in str(refused.value)
    with pytest.raises(PublishError, match=r"pepnet@v1\.0\.0 cannot be put into production: .*Forbidden"):
        promote(settings, "pepnet@v1")
    assert production_reference(settings, "pepnet") == "pepnet@v2.0.0"


def test_pull_refuses_an_object_that_was_altered_or_is_missing(
    settings: Settings, served: Bucket, tmp_path: Path
) -> None:
    stored = object_of(served, b"second")
    stored.write_bytes(b"forged")
    with pytest.raises(PublishError, match=r"pepnet@v2\.0\.0 is refused, for its storage was changed"):
        pull(settings, "pepnet@prod", tmp_path / "model")
    stored.unlink()
    with pytest.raises(PublishError, match=r"`dvc get` failed: .*model\.safetensors"):
        pull(settings, "pepnet@prod", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    stored.write_bytes(b"second")
    assert weights(pull(settings, "pepnet@prod", tmp_path / "model")) == "second"


def test_publish_refuses_what_the_bucket_gives_back_altered(settings: Settings, served: Bucket) -> None:
    stored = object_of(served, b"first")
    stored.write_bytes(b"forge")
    write_passed(settings, "first")  # DVC finds its object there, and sends it not again
    with pytest.raises(PublishError, match="storage was changed"):
        publish(settings, DS)
    assert production_reference(settings, "pepnet") == "pepnet@v2.0.0"
    stored.write_bytes(b"first")


def test_publish_leaves_production_when_the_server_goes_away_and_ends_when_it_is_back(
    settings: Settings, served: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_passed(settings, "third")
    real = children._run

    def run(words: tuple[str, ...], shown: str, *rest: object) -> str:
        if shown == "dvc get":
            served.stop()
        return real(words, shown, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(children, "_run", run)
        with pytest.raises(PublishError, match=r"`dvc get` failed: .*Could not connect"):
            publish(settings, DS)
    assert production_reference(settings, "pepnet") == "pepnet@v2.0.0"
    served.start()
    assert publish(settings, DS).name == "v3.0.0"
    assert weights(pull(settings, "pepnet@prod", tmp_path / "model")) == "third"
    with Registry.of(settings).clone() as clone:
        assert git("tag", "--list", "pepnet@*", cwd=clone).split() == [
            f"pepnet@v{number}.0.0" for number in (1, 2, 3)
        ]
