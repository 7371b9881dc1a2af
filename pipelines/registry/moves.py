"""Move production by hand: to a chosen version, or back to what was there before."""

from __future__ import annotations

import tempfile
from pathlib import Path

from features.declarations.errors import GatehouseError
from features.declarations.names import checked_name
from pipelines.errors import PublishError
from pipelines.registry.download import fetch
from pipelines.registry.production import assign, in_production, way_back
from pipelines.registry.references import resolve
from pipelines.registry.repository import Registry, require_begun
from pipelines.registry.versions import Version
from pipelines.settings import Settings


def promote(settings: Settings, reference: str) -> Version:
    """Put the version that `reference` names into production, and return it.

    Raises:
        PublishError: there is no such version, its files do not verify, or somebody else moved production
            meanwhile.
    """
    registry = Registry.of(settings)
    require_begun(registry)
    with registry.clone() as clone:
        version = resolve(clone, reference)
        if version != in_production(clone, version.model):
            _move(registry, clone, version, back=False)
        return version


def rollback(settings: Settings, model: str, to: str | None = None) -> tuple[Version, Version]:
    """Put the version into production that was there before the present one; again goes further back.

    Args:
        settings: say where the registry is.
        model: its name.
        to: "v2.0.0" or "v2", an earlier one of those that were there before.

    Returns:
        The version that was left, and the one that is there now.

    Raises:
        PublishError: nothing was there before, its files do not verify, or somebody else moved production
            meanwhile.
    """
    checked_name(model, "model")
    registry = Registry.of(settings)
    require_begun(registry)
    with registry.clone() as clone:
        *before, present = way_back(clone, model) or [resolve(clone, f"{model}@prod")]
        if not before:
            raise PublishError(
                f"nothing was in production before {present.tag}; "
                f"`gatehouse models promote {model}@VERSION` moves it to any version"
            )
        version = before[-1] if to is None else resolve(clone, f"{model}@{to}")
        if version not in before:
            known = ", ".join(earlier.name for earlier in before)
            raise PublishError(
                f"{version.tag} was not in production before {present.tag}, {known} was; "
                f"`gatehouse models promote {version.tag}` moves it there all the same"
            )
        _move(registry, clone, version, back=True)
        return present, version


def _move(registry: Registry, clone: Path, version: Version, *, back: bool) -> None:
    """Push the tag that puts `version` into production, once its files have been fetched and verified."""
    try:
        with tempfile.TemporaryDirectory(prefix="gatehouse-check-", ignore_cleanup_errors=True) as folder:
            fetch(clone, version, Path(folder) / "model")
    except GatehouseError as error:
        raise PublishError(f"{version.tag} cannot be put into production: {error}") from error
    tag = assign(clone, version, back=back)
    try:
        registry.push(clone, f"refs/tags/{tag}")
    except PublishError as error:
        raise PublishError(
            f"production stays where it is: somebody else may have moved it at this moment. Look at "
            f"`gatehouse models list {version.model}` before you try again ({error})"
        ) from error
