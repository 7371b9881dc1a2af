"""What was known of each version when it was published; git holds it, so no file of the model is fetched."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import PublishError
from pipelines.registry.production import in_production
from pipelines.registry.publication import Publication
from pipelines.registry.references import parse, resolve
from pipelines.registry.repository import Registry, require_begun
from pipelines.registry.versions import Version, models, versions
from pipelines.settings import Settings


def card_path(clone: Path, model: str, name: str) -> Path:
    """Where a clone of the registry keeps what was published with a version."""
    return clone / "cards" / model / f"{name}.json"


def read_publication(clone: Path, version: Version) -> Publication:
    """What was known of `version` when it was published.

    Raises:
        PublishError: it was published by another version of Gatehouse.
    """
    return Publication.load(card_path(clone, version.model, version.name))


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list of versions.

    Attributes:
        version: which one.
        publication: what was known of it; None where an earlier Gatehouse published it.
        in_production: whether it is.
    """

    version: Version
    publication: Publication | None
    in_production: bool


def listed(clone: Path, model: str | None) -> list[Listed]:
    """All versions of a model, or of all models, in a clone; the newest first.

    Raises:
        PublishError: there is no such model.
    """
    if model is not None:
        resolve(clone, model)  # says which ones there are
    found = []
    for name in models(clone) if model is None else [model]:
        standing = in_production(clone, name)
        for version in reversed(versions(clone, name)):
            publication: Publication | None = None
            with suppress(PublishError):
                publication = read_publication(clone, version)
            found.append(Listed(version, publication, version == standing))
    return found


def find_publication(settings: Settings, reference: str) -> tuple[Version, Publication]:
    """The version that `reference` names, and what was known of it when it was published.

    Raises:
        PublishError: there is no such version, or another version of Gatehouse published it.
    """
    parse(reference)
    registry = Registry.of(settings)
    require_begun(registry)
    with registry.clone() as clone:
        version = resolve(clone, reference)
        return version, read_publication(clone, version)
