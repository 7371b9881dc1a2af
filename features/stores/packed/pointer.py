"""Which rows are read: a generation of each entity's rows, named by one small record in the store itself.

Rows are written into a generation that nobody reads yet, and the record is replaced in one step when all are
there; see docs/decisions/0006-what-is-served.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from features.stores.packed.witness import Witness


@dataclass(frozen=True, slots=True)
class Build:
    """A generation that is being written.

    Attributes:
        generation: its number.
        about: what it will serve, and since when it is written, for people and readiness checks.
        evicted: as in `Witness`, when it was begun.
    """

    generation: int
    about: dict[str, Any]
    evicted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pointer:
    """The record.

    Attributes:
        generations: entity to the generation of its rows that is read; 0 where an entity is not named.
        building: what is being written; None while nothing is. It stays behind when a run is killed.
        served: what `features.serving.served` says of the rows; None while nothing is served.
        witness: tells whether they are still there; None where an earlier Gatehouse wrote them.
    """

    generations: dict[str, int] = field(default_factory=dict)
    building: Build | None = None
    served: dict[str, Any] | None = None
    witness: Witness | None = None

    @property
    def instant(self) -> int | None:
        """What the ages of served rows are judged at, microseconds since 1970; None while nothing tells."""
        return (self.served or {}).get("instant")

    def read(self, entity: str) -> int:
        """The generation of `entity` that is read."""
        return self.generations.get(entity, 0)

    def written(self, entity: str) -> set[int]:
        """The generations that a new row of `entity` belongs in."""
        return {self.read(entity), *([self.building.generation] if self.building else [])}

    def dump(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, text: bytes | None) -> Pointer:
        """The record that `text` holds; that of an untouched store for None."""
        if text is None:
            return cls()
        fields = json.loads(text)
        building = fields["building"] and Build(**fields["building"])
        witness = fields.get("witness")
        return cls(fields["generations"], building, fields["served"], witness and Witness(**witness))
