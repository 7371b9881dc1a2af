"""The kinds of bad data, by name: how a good day is spoilt, and what must become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from tests.chaos.bad_data.days import Day, File

Spoilt = File | tuple[File, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Refused:
    """The command `by` ends with an error.

    Attributes:
        by: "ingest", or the gate that stops the day.
        says: what the message must name; FILE stands for the file's name, DS for the day.
    """

    by: str
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Handled:
    """The day passes its gates, and its events are the ones the kind says.

    Attributes:
        how: the rule, as docs/data-contract.md states it.
        duplicates, quarantined: how many rows become what.
        reason: of the quarantine.
        spills: whether the file has rows of the days beside its own.
    """

    how: str
    duplicates: int = 0
    quarantined: int = 0
    reason: str = ""
    spills: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of bad data.

    Attributes:
        name: in a few words.
        spoil: makes the day's file and, where it is to be handled, the rows that must become its events.
        outcome: what must happen.
    """

    name: str
    outcome: Refused | Handled
    spoil: Callable[[Day], Spoilt] = field(repr=False)


KINDS: list[Kind] = []


def kind(
    name: str, outcome: Refused | Handled
) -> Callable[[Callable[[Day], Spoilt]], Callable[[Day], Spoilt]]:
    """Put a way to spoil a day into the list."""

    def add(spoil: Callable[[Day], Spoilt]) -> Callable[[Day], Spoilt]:
        KINDS.append(Kind(name, outcome, spoil))
        return spoil

    return add
