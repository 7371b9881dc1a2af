"""Which version is in production, which ones were before: GTO's tags `pepnet#prod#5`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.declarations.names import checked_name
from pipelines.children import git
from pipelines.errors import PublishError
from pipelines.registry.repository import Registry, require_begun
from pipelines.registry.tags import find_tags, make_tag
from pipelines.registry.versions import Version, number_of, version_name, versions
from pipelines.settings import Settings

PROD = "prod"
_COUNTED = re.compile(r"#(0|[1-9][0-9]{0,8})\Z")
_BACK = "back"
_ANSWER_SECONDS = 60.0
"""A service asks for the tags again and again; a server that says nothing must not keep it from that."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A version that was put into production.

    Attributes:
        number: 5 for the tag pepnet#prod#5.
        version: which one.
        back: whether it was a step back to what had been there before.
    """

    number: int
    version: Version
    back: bool


def assignments(clone: Path, model: str) -> list[Assignment]:
    """Everything that was put into production, oldest first.

    A tag on a commit that has no version is left out: a machine that went down while it took a push may have
    kept one without the other.
    """
    on = {version.commit: version for version in versions(clone, model)}
    found = [
        Assignment(number, on[tag.commit], _BACK in tag.facts)
        for tag in find_tags(clone, f"{model}#{PROD}#*")
        if (number := _count(tag.name)) is not None and tag.commit in on
    ]
    return sorted(found, key=lambda assignment: assignment.number)


def in_production(clone: Path, model: str) -> Version | None:
    """The version that the newest of GTO's `MODEL#prod#N` tags in a clone stands on; None without one."""
    assigned = assignments(clone, model)
    return assigned[-1].version if assigned else None


def champion_of(clone: Path, model: str, ds: str, challenger: str) -> Version | None:
    """The version that a challenger would replace: the one in production, else the newest; None without one.

    It is one of a run up to `ds`, because a later run may have been trained on these test days, and it is not
    the challenger itself, so that a rerun after publishing meets the same opponent.

    Args:
        clone: of the registry.
        model: its name.
        ds: last day of the challenger's run, ISO text.
        challenger: SHA-256 of the challenger's hashes.json, as training wrote it.
    """
    candidates = [
        version for version in versions(clone, model) if version.ds <= ds and version.digest != challenger
    ]
    production = in_production(clone, model)
    if production in candidates:
        return production
    return candidates[-1] if candidates else None


def way_back(clone: Path, model: str) -> list[Version]:
    """Versions that production can go back through, oldest first; the last one is there now.

    A step back takes off what it left, so that the next one goes further and does not return.
    """
    way: list[Version] = []
    for assignment in assignments(clone, model):
        if assignment.back and assignment.version in way:
            while way[-1] != assignment.version:
                way.pop()
        elif not way or way[-1] != assignment.version:
            way.append(assignment.version)
    return way


def assign(clone: Path, version: Version, *, back: bool = False) -> str:
    """Make the tag that puts `version` into production in a clone, and return its name.

    `gto assign` refuses a version that was there before, and its tag has the clock's time. DVC takes the
    stage tag of the latest second, and among those of one second the last in alphabetical order, #9 after
    #10; so each tag here is later than all before it.
    """
    before = find_tags(clone, f"{version.model}#*")
    number = max((_count(tag.name) or 0 for tag in before), default=0) + 1
    name = f"{version.model}#{PROD}#{number}"
    verb = "Go back to" if back else "Put into production"
    facts = {"version": version.name} | ({_BACK: "yes"} if back else {})
    after = max((tag.at for tag in before), default=0)
    make_tag(clone, name, version.commit, f"{verb} {version.tag}", facts, after=after)
    return name


def production_reference(settings: Settings, model: str) -> str | None:
    """What `prod` stands on, for example "pepnet@v3.0.0"; None without one. It needs no clone.

    Raises:
        PublishError: the registry cannot be reached.
    """
    return _reference(_listed(settings, model), model)


def newest_reference(settings: Settings, model: str) -> str:
    """The newest version, for example "pepnet@v3.0.0". It needs no clone.

    Raises:
        PublishError: the registry cannot be reached, or the model was never published.
    """
    numbers = [number_of(tag.removeprefix(f"{model}@")) for tag in _listed(settings, model)]
    known = [number for number in numbers if number is not None]
    if not known:
        raise PublishError(f"{Registry.of(settings)} has no model {model}; run `gatehouse publish` first")
    return f"{model}@{version_name(max(known))}"


def _listed(settings: Settings, model: str) -> dict[str, str]:
    """The annotated tags of `model` in the registry, each with its commit."""
    checked_name(model, "model")
    registry = Registry.of(settings)
    require_begun(registry)
    listed = git(
        "ls-remote", "--tags", "--", registry.url, f"{model}[@#]*", cwd=Path.cwd(), seconds=_ANSWER_SECONDS
    )
    words = listed.split()
    return {
        name.removeprefix("refs/tags/").removesuffix("^{}"): commit
        for commit, name in zip(words[::2], words[1::2], strict=True)
        if name.endswith("^{}")
    }


def _reference(commits: Mapping[str, str], model: str) -> str | None:
    """The version's tag on the commit of the stage tag that counts highest; tags map to their commits."""
    on = {commits[tag]: tag for tag in commits if number_of(tag.removeprefix(f"{model}@")) is not None}
    counted = {
        number: on[commits[tag]]
        for tag in commits
        if f"#{PROD}#" in tag and (number := _count(tag)) is not None and commits[tag] in on
    }
    return counted[max(counted)] if counted else None


def _count(tag: str) -> int | None:
    match = _COUNTED.search(tag)
    return int(match[1]) if match else None
