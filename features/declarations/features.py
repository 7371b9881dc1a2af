"""One feature: its type, its role in the model, its encoding and the range its values must keep."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from features.declarations.errors import DeclarationError
from features.declarations.names import checked_name

Scalar: TypeAlias = float | int | str


class Role(StrEnum):
    """What a model may use a feature for; models ask for roles, never for columns."""

    SCENARIO = "scenario"
    USER = "user"
    ITEM = "item"
    GENERAL = "general"
    SEQUENCE = "sequence"


class DType(StrEnum):
    """Column types the lake, Feast and the online stores agree on."""

    FLOAT = "float32"
    INT = "int64"
    STRING = "string"
    STRINGS = "list<string>"
    INTS = "list<int64>"

    @property
    def is_list(self) -> bool:
        return self in (DType.STRINGS, DType.INTS)


class Encoding(StrEnum):
    """How a value enters the model.

    ID and CATEGORY look a vocabulary up (index 0 is everything unseen or missing); ID values
    also make priors. NUMERIC is standardised, LOG is log1p and then standardised. SEQUENCE
    looks each element up; AGE turns a list of event times into ages before the row's event, and
    ELAPSED a single one into log1p of the hours before it, which are then standardised.
    """

    ID = "id"
    CATEGORY = "category"
    NUMERIC = "numeric"
    LOG = "log"
    SEQUENCE = "sequence"
    AGE = "age"
    ELAPSED = "elapsed"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of a feature view.

    Attributes:
        name: column name, unique within its view.
        dtype: storage type.
        role: what models may use it for.
        encoding: how it enters the model.
        default: what a model is told when the row or the value is missing, in hours for ELAPSED; None
            for strings and lists.
        low, high: inclusive bounds of valid values (numbers only); None means unbounded.
        max_null_share: share of nulls in a partition above which validation fails, 0 to 1.
        max_psi: population stability index against the training days above which validation fails.
        max_null_shift: how far the share of nulls may move from the training days', 0 to 1.
        vocabulary: vocabulary (and embedding table) to share; by default the feature's own.
        description: one line for the catalog page.
    """

    name: str
    dtype: DType
    role: Role
    encoding: Encoding
    default: Scalar | None = None
    low: float | None = None
    high: float | None = None
    max_null_share: float = 0.0
    max_psi: float = 0.5
    max_null_shift: float = 0.1
    vocabulary: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "feature")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise DeclarationError(f"feature {self.name}: low {self.low} is above high {self.high}")
        if not 0.0 <= self.max_null_share <= 1.0:
            raise DeclarationError(
                f"feature {self.name}: max_null_share {self.max_null_share} is not a share in [0, 1]"
            )
        if self.max_psi <= 0.0 or not 0.0 <= self.max_null_shift <= 1.0:
            raise DeclarationError(
                f"feature {self.name}: max_psi {self.max_psi} must be above 0, "
                f"and max_null_shift {self.max_null_shift} a share in [0, 1]"
            )
        numeric = self.encoding in (Encoding.NUMERIC, Encoding.LOG, Encoding.ELAPSED)
        if numeric and not isinstance(self.default, int | float):
            raise DeclarationError(
                f"feature {self.name}: a {self.encoding} feature needs a numeric default "
                f"for rows it is missing from, got {self.default!r}"
            )
        if (self.encoding is Encoding.ELAPSED) and self.dtype is not DType.INT:
            raise DeclarationError(
                f"feature {self.name}: elapsed reads an event time in microseconds, an {DType.INT}, "
                f"not a {self.dtype}"
            )
        if self.dtype.is_list != (self.encoding in (Encoding.SEQUENCE, Encoding.AGE)):
            raise DeclarationError(
                f"feature {self.name}: {self.dtype} cannot be encoded as {self.encoding}; "
                "lists are encoded as sequence or age, and only lists are"
            )
