"""What a packed row is made of: one view's features, and where each lies.

A row is a fixed part, the same number of bytes for every row of a schema, and a tail with its text and lists:

    event, created | float32s | int64s | null mask | lengths of the tail's pieces || the pieces

Event and created are microseconds since 1970 as big-endian unsigned numbers whose order is that of the
instants, so that a store can compare them as bytes. A float has no bit in the mask: its null is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.declarations.features import DType

PIECES = {DType.STRING: 1, DType.INTS: 1, DType.STRINGS: 2}
"""How many pieces of the tail a value takes; a list of strings has its lengths and its text."""


@dataclass(frozen=True)
class ViewSchema:
    """The features of a view, and how its rows are packed.

    Attributes:
        name: the view's.
        keys: its join keys, in order of their names.
        features: name and type of each feature, in order of names.
    """

    name: str
    keys: tuple[str, ...]
    features: tuple[tuple[str, DType], ...]

    @property
    def entity(self) -> str:
        """Names the keys; views of one entity are read together."""
        return "+".join(self.keys)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.features)

    @cached_property
    def floats(self) -> tuple[str, ...]:
        return self._of_kind(DType.FLOAT)

    @cached_property
    def ints(self) -> tuple[str, ...]:
        return self._of_kind(DType.INT)

    @cached_property
    def strings(self) -> tuple[str, ...]:
        return self._of_kind(DType.STRING)

    @cached_property
    def lists(self) -> tuple[str, ...]:
        return self._of_kind(DType.INTS, DType.STRINGS)

    @cached_property
    def kinds(self) -> dict[str, DType]:
        return dict(self.features)

    @cached_property
    def masked(self) -> tuple[str, ...]:
        """Features with a bit in the null mask, in order of the bits."""
        return (*self.ints, *self.strings, *self.lists)

    @cached_property
    def places(self) -> tuple[list[int], list[int]]:
        """Where the floats and the masked features stand among `names`."""
        at = {name: place for place, name in enumerate(self.names)}
        return [at[name] for name in self.floats], [at[name] for name in self.masked]

    @cached_property
    def pieces(self) -> int:
        """Pieces of the tail: those of the strings, then those of the lists."""
        return sum(PIECES[self.kinds[name]] for name in (*self.strings, *self.lists))

    @cached_property
    def fixed(self) -> np.dtype[np.void]:
        """The fixed part; `tail` is how many bytes the tail has."""
        parts: list[tuple[str, str] | tuple[str, str, tuple[int]]] = [("event", ">u8"), ("created", ">u8")]
        if self.pieces:
            parts.append(("tail", "<u4"))
        for name, kind, count in (
            ("floats", "<f4", len(self.floats)),
            ("ints", "<i8", len(self.ints)),
            ("nulls", "u1", -(-len(self.masked) // 8)),
            ("lengths", "<u4", self.pieces),
        ):
            if count:
                parts.append((name, kind, (count,)))
        return np.dtype(parts)

    def _of_kind(self, *kinds: DType) -> tuple[str, ...]:
        return tuple(name for name, kind in self.features if kind in kinds)
