"""Annotated git tags: what a registry says, in order; and how a new one is made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.children import git

_FORMAT = "%(refname:short)%00%(*objectname)%00%(taggerdate:unix)%00%(contents)%01"


@dataclass(frozen=True, slots=True)
class Tag:
    """An annotated tag.

    Attributes:
        name: for example "pepnet@v3.0.0".
        commit: what it stands on.
        at: when it was made, seconds since 1970, UTC.
        facts: the lines "name: value" of its message.
    """

    name: str
    commit: str
    at: int
    facts: Mapping[str, str]


def find_tags(clone: Path, pattern: str) -> list[Tag]:
    """Annotated tags of a clone whose names match git's `pattern`; GTO ignores the others, too."""
    found = []
    lines = git("for-each-ref", f"refs/tags/{pattern}", f"--format={_FORMAT}", cwd=clone)
    for record in filter(None, (part.strip() for part in lines.split("\x01"))):
        name, commit, at, message = record.split("\x00")
        if commit:
            facts = dict(line.split(": ", 1) for line in message.splitlines() if ": " in line)
            found.append(Tag(name, commit, int(at), facts))
    return found


def make_tag(
    clone: Path, name: str, commit: str, title: str, facts: Mapping[str, str], *, after: int = 0
) -> None:
    """Make an annotated tag in a clone.

    Args:
        clone: the clone.
        name: of the tag.
        commit: what it shall stand on.
        title: first line of its message.
        facts: what `Tag.facts` shall hold.
        after: its time is later than this one, whatever the clock says; seconds since 1970.
    """
    lines = "\n".join(f"{fact}: {value}" for fact, value in facts.items())
    at = max(int(time.time()), after + 1)
    git(
        "tag", "--annotate", "--message", f"{title}\n\n{lines}", name, commit,
        cwd=clone, environment={"GIT_COMMITTER_DATE": f"@{at} +0000"},
    )  # fmt: skip
