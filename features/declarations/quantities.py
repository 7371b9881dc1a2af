"""Numbers an event is measured by: how long it was watched, how it was rated, what was paid."""

from __future__ import annotations

from dataclasses import dataclass

from features.declarations.errors import DeclarationError
from features.declarations.names import checked_name


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that is known once the event has happened; the event table has it as a float32 column.

    A quantity may be aggregated over past events. It is an outcome, like a label, so it is never an
    input of its own row.

    Attributes:
        name: its column, for example "watched_seconds".
        low, high: inclusive bounds of valid values; None means unbounded.
        description: one line for the catalog page, with the unit.
    """

    name: str
    low: float | None = None
    high: float | None = None
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "quantity")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise DeclarationError(f"quantity {self.name}: low {self.low} is above high {self.high}")

    @property
    def never_negative(self) -> bool:
        return self.low is not None and self.low >= 0.0
