"""Measures: what a feature group says of the events in a window, and the feature each becomes.

`of` names what is measured: a task by its name (its label, 0 or 1), a declared `Quantity` or an
`Entity`. Rows in which it is null do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from features.declarations.entities import Entity
from features.declarations.errors import DeclarationError
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.quantities import Quantity
from features.declarations.windows import label, last, words


@dataclass(frozen=True, slots=True)
class Count:
    """Number of impressions."""

    name: str = "impressions"


@dataclass(frozen=True, slots=True)
class Sum:
    """Number of positive labels of a task, or the sum of a quantity."""

    of: str | Quantity


@dataclass(frozen=True, slots=True)
class Rate:
    """Share of positive labels of `task` among its labelled impressions, smoothed by a prior.

    rate = (positives + strength * prior) / (labelled + strength)

    Attributes:
        prior: the rate without any evidence, 0 to 1; also the feature's default.
        strength: how many impressions the prior is worth.
    """

    task: str
    prior: float
    strength: float = 20.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.prior <= 1.0 or self.strength <= 0.0:
            raise DeclarationError(
                f"rate of {self.task}: prior {self.prior} must be within [0, 1] and strength "
                f"{self.strength} above 0, or a key without labels has no rate"
            )


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of a quantity; null where the window has no value of it.

    Attributes:
        default: what a model is told then.
    """

    of: Quantity
    default: float


@dataclass(frozen=True, slots=True)
class Min:
    """Smallest value of a quantity; null where the window has none."""

    of: Quantity
    default: float


@dataclass(frozen=True, slots=True)
class Max:
    """Largest value of a quantity; null where the window has none."""

    of: Quantity
    default: float


@dataclass(frozen=True, slots=True)
class Distinct:
    """Number of different ids of an entity: exact up to about 1,000, then within some 3%.

    A tile keeps the 1,024 smallest hashes (a KMV sketch, Bar-Yossef et al., RANDOM 2002), which merge
    by keeping the smallest again; the 1,024th smallest tells how densely the hashes lie. In an intraday
    group every row merges two of them: for windows of days, daily tiles are many times cheaper.
    """

    of: Entity


@dataclass(frozen=True, slots=True)
class Last:
    """The id of an entity in the newest event that has one; null where there is none."""

    of: Entity


@dataclass(frozen=True, slots=True)
class TimeSince:
    """Time since the newest impression, or since the newest positive label of a task.

    The feature holds when that was, in microseconds since 1970 UTC; a model is told the hours from
    then to its own row's instant, however old the snapshot is.
    """

    task: str | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """How the daily rate of a count or sum over `short` compares with that over `long`.

    trend = (short's * long / short + strength) / (long's + strength): 1 is steady, 0 has ceased.

    Attributes:
        strength: how many events steadiness is worth; few events say little.
    """

    of: Count | Sum
    short: timedelta
    long: timedelta
    strength: float = 10.0

    def __post_init__(self) -> None:
        if not timedelta(0) < self.short < self.long:
            raise DeclarationError(
                f"trend of {measured(self.of)}: the short window ({words(self.short)}) must be shorter "
                f"than the long one ({words(self.long)})"
            )
        if self.strength <= 0.0:
            raise DeclarationError(
                f"trend of {measured(self.of)}: strength {self.strength} must be above 0, "
                "or a key without events has no trend"
            )
        if isinstance(self.of, Sum) and isinstance(self.of.of, Quantity) and not self.of.of.never_negative:
            raise DeclarationError(
                f"trend of {measured(self.of)}: a quantity that may be negative has no trend; "
                "declare its low as 0 or more"
            )


Measure: TypeAlias = Count | Sum | Rate | Mean | Min | Max | Distinct | Last | TimeSince | Trend


def measured(measure: Measure) -> str:
    """The name that stands in the measure's features: of a task, a quantity, an entity, or "impressions"."""
    match measure:
        case Count(name):
            return name
        case Rate(task):
            return task
        case TimeSince(task):
            return task or "impression"
        case Trend(of):
            return measured(of)
        case Sum(of) | Mean(of) | Min(of) | Max(of) | Distinct(of) | Last(of):
            return of if isinstance(of, str) else of.name


def task_of(measure: Measure) -> str | None:
    """The task whose label a measure reads."""
    match measure:
        case Rate(task) | TimeSince(task):
            return task
        case Sum(of):
            return of if isinstance(of, str) else None
        case Trend(of):
            return task_of(of)
    return None


def quantity_of(measure: Measure) -> Quantity | None:
    """The quantity a measure reads."""
    match measure:
        case Sum(of) | Mean(of) | Min(of) | Max(of):
            return of if isinstance(of, Quantity) else None
        case Trend(of):
            return quantity_of(of)
    return None


def entity_of(measure: Measure) -> Entity | None:
    """The entity whose ids a measure reads."""
    match measure:
        case Distinct(of) | Last(of):
            return of
    return None


def windows_of(measure: Measure, windows: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    """The windows a measure is summed over: the group's, or a trend's own two."""
    return (measure.short, measure.long) if isinstance(measure, Trend) else windows


def feature_of(measure: Measure, window: timedelta, role: Role) -> Feature:
    """What a measure over a window is as a feature; a trend names its windows itself."""
    name, span = measured(measure), f"in {last(window)}"
    match measure:
        case Count():
            return Feature(
                f"{name}_{label(window)}", DType.FLOAT, role, Encoding.LOG, default=0.0, low=0.0,
                description=f"impressions {span}",
            )  # fmt: skip
        case Sum(of):
            low = 0.0 if isinstance(of, str) or of.never_negative else None
            what = f"{name} labels" if isinstance(of, str) else f"{name}, summed"
            return Feature(
                f"{name}_sum_{label(window)}", DType.FLOAT, role,
                Encoding.NUMERIC if low is None else Encoding.LOG, default=0.0, low=low,
                description=f"{what} {span}",
            )  # fmt: skip
        case Rate(_, prior):
            return Feature(
                f"{name}_rate_{label(window)}", DType.FLOAT, role, Encoding.NUMERIC, default=prior,
                low=0.0, high=1.0,
                description=f"share of {name} {span}, smoothed to {prior}",
            )  # fmt: skip
        case Mean(of, default) | Min(of, default) | Max(of, default):
            what = type(measure).__name__.lower()
            return Feature(
                f"{name}_{what}_{label(window)}", DType.FLOAT, role, Encoding.NUMERIC, default=default,
                low=of.low, high=of.high, max_null_share=1.0,
                description=f"{what} of {name} {span}",
            )  # fmt: skip
        case Distinct():
            return Feature(
                f"{name}_distinct_{label(window)}", DType.FLOAT, role, Encoding.LOG, default=0.0, low=0.0,
                description=f"different {name}s {span}, approximately",
            )  # fmt: skip
        case Last(of):
            return Feature(
                f"{name}_last_{label(window)}", DType.STRING, role, Encoding.CATEGORY,
                vocabulary=of.column, max_null_share=1.0,
                description=f"{name} of the newest event {span}",
            )  # fmt: skip
        case TimeSince():
            return Feature(
                f"{name}_last_time_{label(window)}", DType.INT, role, Encoding.ELAPSED,
                default=float(window / timedelta(hours=1)), low=0.0, max_null_share=1.0,
                description=f"when the newest {name} {span} was; models see the hours since",
            )  # fmt: skip
        case Trend(_, short, long):
            return Feature(
                f"{name}_trend_{label(short)}_{label(long)}", DType.FLOAT, role, Encoding.NUMERIC,
                default=1.0, low=0.0, high=float(long / short),
                description=f"daily {name} of {last(short)} over those of {last(long)}",
            )  # fmt: skip
