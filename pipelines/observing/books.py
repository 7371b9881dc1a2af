"""The books of a stage: which partitions it has written and judged, noted where that happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.manifest import Manifest
    from pipelines.verdicts import Verdict


@dataclass(slots=True)
class Books:
    """What came of a stage so far.

    Attributes:
        manifests: of the partitions it swapped in; each says what it was made from.
        verdicts: what a gate said.
    """

    manifests: list[Manifest] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


# Of the process, not of a context: a stage's worker threads write partitions too.
_open: list[Books] = []


@contextmanager
def keeping_books() -> Iterator[Books]:
    """Books that hold everything written and judged by this process until the block ends."""
    books = Books()
    _open.append(books)
    try:
        yield books
    finally:
        _open.remove(books)


def note_written(manifest: Manifest) -> None:
    for books in _open:
        books.manifests.append(manifest)


def note_judged(verdict: Verdict) -> None:
    for books in _open:
        books.verdicts.append(verdict)
