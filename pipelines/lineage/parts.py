"""Partitions by the hash of their content: what lineage is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One partition of a table, or another thing that a stage reads or writes whole.

    Attributes:
        name: of the data set it belongs to: its path below home, for example "lake/simulated/events".
        ds: its day, ISO text; None for a thing without days.
        content: hash of what it holds.
        rows: how many; None where that is not known or means nothing.
        size: bytes; None where that is not known.
    """

    name: str
    ds: str | None
    content: str
    rows: int | None = None
    size: int | None = None

    @property
    def key(self) -> tuple[str, str | None, str]:
        """What tells it apart from every other part, and from itself before it was written anew."""
        return self.name, self.ds, self.content


def distinct(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts without repetition, by name and then day; of equal ones the first, which knows most."""
    found: dict[tuple[str, str | None, str], Part] = {}
    for part in parts:
        found.setdefault(part.key, part)
    return tuple(sorted(found.values(), key=lambda part: (part.name, part.ds or "", part.content)))
