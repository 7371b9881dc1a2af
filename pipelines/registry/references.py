"""How a version is named: `pepnet`, `pepnet@latest`, `pepnet@prod`, `pepnet@v3` or `pepnet@v3.0.0`."""

from __future__ import annotations

from pathlib import Path

from features.declarations.names import checked_name
from pipelines.errors import PublishError
from pipelines.registry.production import PROD, in_production
from pipelines.registry.versions import Version, models, number_of, version_name, versions

LATEST = "latest"


def resolve(clone: Path, reference: str) -> Version:
    """The version that `reference` names in a clone of the registry.

    Raises:
        DeclarationError: the model's name is none.
        PublishError: it names no version, or one that is not there.
    """
    model, wanted = parse(reference)
    published = versions(clone, model)
    if not published:
        raise PublishError(
            f"the registry has no model {model}; it has {', '.join(models(clone)) or 'none yet'}"
        )
    if wanted == LATEST:
        return published[-1]
    if wanted == PROD:
        found = in_production(clone, model)
        if found is None:
            raise PublishError(
                f"no version of {model} is in production; "
                f"`gatehouse models promote {published[-1].tag}` puts the newest one there"
            )
        return found
    for version in published:
        if version.number == wanted:
            return version
    known = ", ".join(version.name for version in published)
    raise PublishError(f"the registry has no version {version_name(int(wanted))} of {model}; it has {known}")


def parse(reference: str) -> tuple[str, int | str]:
    """Model, and version number or LATEST or PROD.

    Raises:
        DeclarationError: the model's name is none.
        PublishError: there is no such way to name a version.
    """
    model, at, version = reference.partition("@")
    checked_name(model, "model")
    if not at:
        return model, LATEST
    if version in (LATEST, PROD):
        return model, version
    number = number_of(version)
    if number is None:
        raise PublishError(
            f"{reference!r} names no version; write {model}@{LATEST}, {model}@{PROD} or {model}@v3.0.0"
        )
    return model, number
