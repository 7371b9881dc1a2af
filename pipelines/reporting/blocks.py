"""What a section consists of: plain blocks. The page template alone knows how they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about something that is not there, or went wrong.

    Attributes:
        bad: whether it asks for somebody's attention.
    """

    kind: ClassVar[str] = "note"
    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A link on a line of its own; `href` is relative to the page."""

    kind: ClassVar[str] = "link"
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, for example ("chosen model", "pepnet")."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn figure.

    Attributes:
        svg: the drawing, safe to put into the page.
        title: what is drawn, also for those who cannot see it.
    """

    svg: Markup
    title: str


@dataclass(frozen=True, slots=True)
class Figure:
    """Pictures under one caption; several stand side by side where the page is wide enough.

    Attributes:
        caption: says what to see.
    """

    kind: ClassVar[str] = "figure"
    pictures: tuple[Picture, ...]
    caption: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a table.

    Attributes:
        span: how many columns it takes.
        heat: -1 (cold) to 1 (warm) tints the cell; 0 leaves it blank.
        weight: 0 to 1 tints the cell as strongly, in one neutral colour.
        best: the value to look at among its peers.
        faint: not a value but the reason why there is none.
        bar: 0 to 1 draws a bar under the value, as long as that; None draws none.
    """

    text: str
    span: int = 1
    heat: float = 0.0
    weight: float = 0.0
    best: bool = False
    faint: bool = False
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of a table under a heading of their own, with a note beside it; both may be empty."""

    heading: str
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        head: column titles.
        groups: its rows; the spans of a row's cells add up to the length of `head`.
        caption: says what to see.
        text_columns: the first ones hold text, the others numbers.
    """

    kind: ClassVar[str] = "table"
    head: tuple[str, ...]
    groups: tuple[Group, ...]
    caption: str
    text_columns: int = 1


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that are shown when somebody asks for them."""

    kind: ClassVar[str] = "fold"
    summary: str
    blocks: tuple[Block, ...]


Block: TypeAlias = Prose | Note | Link | Facts | Figure | Table | Fold


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `anchor` names it in links."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


def rows_of(*rows: tuple[str | Cell, ...]) -> tuple[Group, ...]:
    """One group without a heading; plain text becomes plain cells."""
    cells = tuple(tuple(_cell(value) for value in row) for row in rows)
    return (Group("", cells),)


def _cell(value: str | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)
