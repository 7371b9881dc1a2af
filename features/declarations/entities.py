"""What features are keyed by."""

from __future__ import annotations

from dataclasses import dataclass

from features.declarations.features import Role
from features.declarations.names import checked_name


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing with an id; its id column stands in the events and in every view keyed by it.

    Attributes:
        name: for example "user".
        role: the role its id plays in a model input.
    """

    name: str
    role: Role

    def __post_init__(self) -> None:
        checked_name(self.name, "entity")

    @property
    def column(self) -> str:
        """The id column's name, for example "user_id"."""
        return f"{self.name}_id"


USER = Entity("user", Role.USER)
ITEM = Entity("item", Role.ITEM)
SCENARIO = Entity("scenario", Role.SCENARIO)
AUTHOR = Entity("author", Role.ITEM)
TAG = Entity("tag", Role.GENERAL)
GENRE = Entity("genre", Role.GENERAL)
