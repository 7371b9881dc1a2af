"""What a backend of the packed online store does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from features.stores.packed.schema import ViewSchema
from features.stores.packed.shapes import Shape, Shapes
from features.stores.packed.unpack import ViewRows
from features.stores.packed.witness import Census


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of some views of one entity.

    Attributes:
        schemas: the views, as they are registered now; all have the same keys.
        keys: N keys; see features.stores.packed.keys.
    """

    schemas: tuple[ViewSchema, ...]
    keys: Sequence[bytes]


class Backend(Protocol):
    """Keeps values; every method may be called from several threads and processes at once.

    Every method raises `StoreUnavailableError` when the store does not answer.
    """

    def pointer(self) -> bytes | None:
        """The pointer's text; None in a store that has none."""

    def replace_pointer(self, old: bytes | None, new: bytes) -> bool:
        """Put `new` in place of `old`, in one step; False when it was no longer `old`."""

    def make_room(self, schemas: Iterable[ViewSchema], generation: int) -> None:
        """Let a generation hold rows of `schemas`."""

    def write(self, schema: ViewSchema, generation: int, keys: list[bytes], rows: list[bytes]) -> None:
        """Keep of each key the row with the newest (event, created), of equals the last."""

    def read(self, reads: Sequence[Read]) -> tuple[bytes | None, list[list[ViewRows]]]:
        """The pointer, and the rows it pointed at, of each read and its views."""

    def drop_view(self, entity: str, view: str) -> None:
        """Forget the rows of a view, in every generation."""

    def generations(self) -> set[tuple[str, int]]:
        """Every (entity, generation) there may be rows of."""

    def drop_generation(self, entity: str, generation: int) -> None:
        """Forget all rows of a generation of an entity."""

    def count(self, entity: str, generation: int) -> int:
        """Keys of a generation, as a census counts them; none where nothing is lost unnoticed."""

    def census(self) -> Census:
        """Counts that a loss of rows changes."""

    def clear(self) -> None:
        """Forget everything of the project."""


class KnownShapes:
    """A copy of the store's table of shapes, read again when a row of an unknown shape turns up."""

    def __init__(self, load: Callable[[], Iterable[str]], save: Callable[[Sequence[Shape]], None]) -> None:
        self._load = load
        self._save = save
        self._shapes = Shapes()

    def find(self, id_: bytes) -> Shape | None:
        """The shape of this id; None when the store does not know it either."""
        known = self._shapes.find(id_)
        if known is None:
            self.refresh()
            known = self._shapes.find(id_)
        return known

    def refresh(self) -> None:
        self._shapes.add(map(Shape.parse, self._load()))

    def add(self, shapes: Iterable[Shape]) -> None:
        """Make shapes known to every reader, again too: the store may have been emptied meanwhile."""
        shapes = list(shapes)
        self._save(shapes)
        self._shapes.add(shapes)

    def of_entity(self, entity: str) -> list[Shape]:
        return self._shapes.of_entity(entity)
