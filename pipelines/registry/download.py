"""Fetch a version from the registry's DVC remote and verify every file."""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from pipelines.children import dvc
from pipelines.errors import PublishError
from pipelines.model_files import replaceable, verified_digest
from pipelines.registry.references import parse, resolve
from pipelines.registry.repository import Registry, require_begun
from pipelines.registry.versions import Version
from pipelines.settings import Settings
from training.sealed import SealError


def pull(settings: Settings, reference: str, into: Path | None = None) -> Path:
    """Fetch a published model and verify every file.

    Args:
        settings: say where the registry is.
        reference: see `pipelines.registry.references`.
        into: target folder, ./NAME by default. An earlier pull there is replaced, unless it holds the
            very files, which are verified then and not fetched.

    Returns:
        The target folder.

    Raises:
        PublishError: no such model or version, the target is in use, or the files are not those
            that were published.
    """
    model, _ = parse(reference)
    target = (into or Path(model)).resolve()
    if not replaceable(target):
        raise PublishError(f"{target} exists and is not a model; name another folder with --into")
    registry = Registry.of(settings)
    require_begun(registry)
    with registry.clone() as clone:
        version = resolve(clone, reference)
        if _holds(target, version):
            return target
        aside = target.parent / f".{target.name}.{uuid.uuid4().hex}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            fetch(clone, version, aside)
            _put_in_place(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return target


def _holds(folder: Path, version: Version) -> bool:
    """Whether `folder` has exactly the files of `version`, from an earlier pull."""
    try:
        return verified_digest(folder) == version.sealed
    except (PublishError, SealError):
        return False


def fetch(clone: Path, version: Version, into: Path) -> None:
    """Copy `version` from the DVC remote to the new folder `into`, and verify it against its tag.

    Raises:
        PublishError: the remote does not hold exactly what was published.
    """
    local = clone / ".dvc" / "config.local"
    config = ("--config", str(local)) if local.exists() else ()
    path = f"models/{version.model}"
    dvc("get", *config, "--rev", version.commit, "--out", str(into), ".", path, cwd=clone)
    try:
        digest = verified_digest(into)
    except SealError as error:
        raise PublishError(
            f"{version.tag} is refused, for its storage was changed after publishing: {error}"
        ) from error
    if digest != version.sealed:
        raise PublishError(
            f"the files of {version.tag} are not those its tag names (hashes {digest[:12]} instead of "
            f"{version.sealed[:12] or 'none'}); do not use them: the storage was changed after publishing"
        )


def _put_in_place(aside: Path, target: Path) -> None:
    """Rename `aside` to `target`; what was there before is moved away first and then removed."""
    if not target.exists():
        aside.rename(target)
        return
    old = aside.with_name(f"{aside.name}.old")
    target.rename(old)
    try:
        aside.rename(target)
    except OSError:
        with suppress(OSError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
