from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from features.declarations.errors import GatehouseError
from pipelines.children import git
from pipelines.errors import PublishError
from pipelines.registry import Registry, production_reference, pull
from pipelines.registry.publishing import _set_up
from pipelines.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(published_home: Path) -> Settings:
    return Settings(home=published_home)


def _weights(folder: Path) -> str:
    return (folder / "model.safetensors").read_text()


@pytest.mark.parametrize(
    ("reference", "weights"),
    [("pepnet", "third"), ("pepnet@latest", "third"), ("pepnet@v2.0.0", "second"), ("pepnet@v2", "second")],
)
def test_pull_fetches_the_version_that_is_asked_for(
    settings: Settings, tmp_path: Path, reference: str, weights: str
) -> None:
    assert _weights(pull(settings, reference, tmp_path / "model")) == weights


def test_pull_uses_the_models_name_when_no_folder_is_given(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pull(settings, "pepnet") == tmp_path / "pepnet"
    assert [path.name for path in tmp_path.iterdir()] == ["pepnet"]


def test_pull_takes_the_place_of_a_later_version_when_an_older_one_is_asked_for(
    settings: Settings, tmp_path: Path
) -> None:
    pull(settings, "pepnet@latest", tmp_path / "model")
    assert _weights(pull(settings, "pepnet@v1.0.0", tmp_path / "model")) == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_pull_leaves_a_folder_alone_when_it_is_no_model(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "thesis.md").write_text("important")
    with pytest.raises(PublishError, match="is not a model"):
        pull(settings, "pepnet", tmp_path)
    assert (tmp_path / "thesis.md").read_text() == "important"


def test_pull_says_what_there_is_when_the_version_or_model_is_unknown(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(PublishError, match=r"it has v1\.0\.0, v2\.0\.0, v3\.0\.0"):
        pull(settings, "pepnet@v9.0.0", tmp_path / "model")
    with pytest.raises(PublishError, match=r"has no model m2m; it has pepnet"):
        pull(settings, "m2m", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "reference", ["../etc@latest", "--upload-pack=x", "pepnet@", "pepnet@v1.2.3", "pepnet@v1;ls", "Pepnet"]
)
def test_pull_refuses_a_reference_when_it_is_no_name_and_version(
    settings: Settings, tmp_path: Path, reference: str
) -> None:
    with pytest.raises(GatehouseError, match=r"not a valid name|names no version"):
        pull(settings, reference, tmp_path / "model")


def test_pull_says_how_to_begin_when_nothing_was_published(simulated_settings: Settings) -> None:
    with pytest.raises(PublishError, match="gatehouse publish"):
        pull(simulated_settings, "pepnet")


def test_pull_refuses_the_model_when_its_storage_was_changed(copied: Settings, tmp_path: Path) -> None:
    remote = Path(Registry.of(copied).remote or "")
    for path in remote.rglob("*"):
        if path.is_file() and path.read_bytes() == b"third":
            path.chmod(0o644)
            path.write_bytes(b"forged")
    with pytest.raises(GatehouseError, match="not the file that was written"):
        pull(copied, "pepnet", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_pull_names_what_is_missing_when_the_storage_is_gone(copied: Settings, tmp_path: Path) -> None:
    shutil.rmtree(Registry.of(copied).remote or "")
    with pytest.raises(PublishError, match="`dvc get` failed"):
        pull(copied, "pepnet", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_registry_that_accepts_and_says_nothing_is_given_up(
    simulated_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.registry.production._ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/models.git"
        silent = Settings(home=simulated_settings.home, registry=url)
        with pytest.raises(PublishError, match=r"`git ls-remote` was given up"):
            production_reference(silent, "pepnet")


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("s3://bucket/models", "s3://bucket/models"),
        ("ssh://deploy@example.org/models", "ssh://deploy@example.org/models"),
        ("ssh://deploy:s3cr3t@example.org/models", "ssh://example.org/models"),
        ("https://t0ken@example.org/models@2", "https://example.org/models@2"),
    ],
)
def test_git_keeps_the_remote_without_password_and_token(
    remote: str, kept: str, tmp_path: Path, simulated_settings: Settings
) -> None:
    registry = Registry.of(Settings(home=simulated_settings.home, registry_remote=remote))
    _set_up(tmp_path, registry)
    assert git("init", "--quiet", cwd=tmp_path) == ""
    git("add", "--all", cwd=tmp_path)
    committed = [(tmp_path / name).read_text() for name in git("ls-files", cwd=tmp_path).split()]
    assert f'url = "{kept}"' in "".join(committed)
    assert "s3cr3t" not in "".join(committed)
    assert "t0ken" not in "".join(committed)
    assert remote in (tmp_path / ".dvc" / "config.local").read_text()


def test_errors_hide_the_token_when_the_registry_url_has_one(
    simulated_settings: Settings, tmp_path: Path
) -> None:
    secret = Settings(home=simulated_settings.home, registry="http://user:s3cr3t@127.0.0.1:9/models.git")
    with pytest.raises(PublishError) as refused:
        pull(secret, "pepnet", tmp_path / "model")
    assert "s3cr3t" not in str(refused.value)
    assert "127.0.0.1:9/models.git" in str(refused.value)
