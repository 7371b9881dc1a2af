"""A stored value: the rows of one key's views behind each other, and a table of which views those are.

    shape, 4 bytes | fixed part of each view | tail of each view

The shape is a hash of the views' names and schemas, in order of names. Values that were written under another
schema, or before a view was added, have another shape; the store keeps a table of all shapes it was given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from features.declarations.features import DType
from features.stores.packed.schema import ViewSchema

ID_BYTES = 4


@dataclass(frozen=True)
class Shape:
    """Which views a value holds, all of one entity and in order of names."""

    views: tuple[ViewSchema, ...]

    @cached_property
    def text(self) -> str:
        """The shape as JSON, from which `parse` makes it again."""
        views = [{"name": view.name, "keys": view.keys, "features": view.features} for view in self.views]
        return json.dumps(views, separators=(",", ":"))

    @cached_property
    def id(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()[:ID_BYTES]

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each view's fixed part begins, and where the last one ends."""
        offsets = [ID_BYTES]
        for view in self.views:
            offsets.append(offsets[-1] + view.fixed.itemsize)
        return tuple(offsets)

    @cached_property
    def size(self) -> int:
        """Bytes before the tails."""
        return self.offsets[-1]

    @cached_property
    def has_tails(self) -> bool:
        return any(view.pieces for view in self.views)

    def place(self, name: str) -> int | None:
        """The place of the view called `name`; None when it is not here."""
        return next((place for place, view in enumerate(self.views) if view.name == name), None)

    def having(self, schema: ViewSchema) -> Shape:
        """This shape after a row of `schema` has been put in, in place of an earlier one of its view."""
        others = (view for view in self.views if view.name != schema.name)
        return Shape(tuple(sorted((*others, schema), key=lambda view: view.name)))

    @classmethod
    def parse(cls, text: str) -> Shape:
        """The shape that `text` describes."""
        return cls(
            tuple(
                ViewSchema(
                    view["name"],
                    tuple(view["keys"]),
                    tuple((name, DType(kind)) for name, kind in view["features"]),
                )
                for view in json.loads(text)
            )
        )


class Shapes:
    """The shapes a store may hold, by their id."""

    def __init__(self, shapes: Iterable[Shape] = ()) -> None:
        self._by_id = {shape.id: shape for shape in shapes}

    def add(self, shapes: Iterable[Shape]) -> None:
        self._by_id |= {shape.id: shape for shape in shapes}

    def find(self, id_: bytes) -> Shape | None:
        return self._by_id.get(id_)

    def of_entity(self, entity: str) -> list[Shape]:
        """The shapes of one entity's values."""
        return [shape for shape in self._by_id.values() if shape.views[0].entity == entity]
