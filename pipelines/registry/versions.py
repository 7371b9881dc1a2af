"""Versions of models: what a tag `pepnet@v3.0.0` says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.children import git
from pipelines.registry.tags import find_tags, make_tag

_NUMBER = re.compile(r"v(0|[1-9][0-9]{0,8})(\.0\.0)?\Z")


@dataclass(frozen=True, slots=True)
class Version:
    """One published version of a model.

    Attributes:
        model: for example "pepnet".
        number: 3 for the tag pepnet@v3.0.0.
        ds: last day of the run that made it, ISO text.
        digest: SHA-256 of the hashes.json that training wrote; with the day, it is what makes a version.
        sealed: SHA-256 of the hashes.json that was published, which lists the publication as well.
        commit: the registry's commit.
        at: when it was published, seconds since 1970, UTC.
    """

    model: str
    number: int
    ds: str
    digest: str
    sealed: str
    commit: str
    at: int

    @property
    def name(self) -> str:
        return version_name(self.number)

    @property
    def tag(self) -> str:
        return f"{self.model}@{self.name}"


def version_name(number: int) -> str:
    """GTO's name of a version; GTO asks for three numbers, of which only the first counts up."""
    return f"v{number}.0.0"


def number_of(name: str) -> int | None:
    """3 for "v3.0.0" and for "v3"; None for what is no version's name."""
    match = _NUMBER.match(name)
    return int(match[1]) if match else None


def versions(clone: Path, model: str) -> list[Version]:
    """Published versions of `model` in a clone of the registry, oldest first."""
    found = [
        Version(
            model,
            number,
            tag.facts.get("ds", ""),
            tag.facts.get("trained", ""),
            tag.facts.get("hashes", ""),
            tag.commit,
            tag.at,
        )
        for tag in find_tags(clone, f"{model}@*")
        if (number := number_of(tag.name.removeprefix(f"{model}@"))) is not None
    ]
    return sorted(found, key=lambda version: version.number)


def models(clone: Path) -> list[str]:
    """Names of all models that have a version in a clone, sorted."""
    names = git("tag", "--list", "*@v*", cwd=clone).split()
    return sorted({name.partition("@")[0] for name in names})


def register(clone: Path, version: Version) -> None:
    """Make the tag of a new version in a clone, in the form of `gto register`."""
    facts = {"ds": version.ds, "trained": version.digest, "hashes": version.sealed}
    make_tag(clone, version.tag, version.commit, f"{version.model} of {version.ds}", facts)
