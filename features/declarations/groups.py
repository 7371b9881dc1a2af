"""Feature groups: what is aggregated from events, kept as a recent sequence, or read from a profile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TypeAlias

from features.declarations.entities import Entity
from features.declarations.errors import DeclarationError
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.names import checked_name


@dataclass(frozen=True, slots=True)
class Count:
    """Number of impressions of the key in the window."""

    name: str = "impressions"


@dataclass(frozen=True, slots=True)
class Sum:
    """Number of positive labels of `task` in the window."""

    task: str


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


Measure: TypeAlias = Count | Sum | Rate


@dataclass(frozen=True)
class FeatureGroup:
    """Sums over windows of daily tiles of the event table, per key.

    Attributes:
        name: the Feast view's name.
        keys: one entity or more.
        measures: what is summed.
        windows: lengths in days, ascending.
        role: the role of all its features.
    """

    name: str
    keys: tuple[Entity, ...]
    measures: tuple[Measure, ...]
    windows: tuple[int, ...]
    role: Role
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "feature group")
        if not self.keys:
            raise DeclarationError(f"feature group {self.name} has no keys; name at least one entity")
        if not self.windows or list(self.windows) != sorted(set(self.windows)):
            raise DeclarationError(
                f"feature group {self.name}: windows {self.windows} must be distinct and ascending"
            )
        if self.windows[0] < 1:
            raise DeclarationError(
                f"feature group {self.name}: a window of {self.windows[0]} days "
                "is shorter than a tile (1 day)"
            )
        names = [feature.name for feature in self.features]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise DeclarationError(f"feature group {self.name} declares {', '.join(repeated)} more than once")

    @property
    def ttl(self) -> timedelta:
        """A snapshot stays usable as long as the longest window still overlaps it."""
        return timedelta(days=self.windows[-1])

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks whose labels the tiles must hold, in order of first use."""
        named = (measure.task for measure in self.measures if not isinstance(measure, Count))
        return tuple(dict.fromkeys(named))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        return tuple(
            _windowed(measure, days, self.role) for days in self.windows for measure in self.measures
        )


def _windowed(measure: Measure, days: int, role: Role) -> Feature:
    match measure:
        case Count(name):
            return Feature(
                f"{name}_{days}d", DType.FLOAT, role, Encoding.LOG, default=0.0, low=0.0,
                description=f"impressions in the last {days} days",
            )  # fmt: skip
        case Sum(task):
            return Feature(
                f"{task}_sum_{days}d", DType.FLOAT, role, Encoding.LOG, default=0.0, low=0.0,
                description=f"{task} labels in the last {days} days",
            )  # fmt: skip
        case Rate(task, prior, _):
            return Feature(
                f"{task}_rate_{days}d", DType.FLOAT, role, Encoding.NUMERIC, default=prior,
                low=0.0, high=1.0,
                description=f"share of {task} in the last {days} days, smoothed to {prior}",
            )  # fmt: skip


@dataclass(frozen=True)
class SequenceGroup:
    """The key's most recent positive events, newest first.

    Attributes:
        task: an event belongs to the sequence when this label is 1.
        elements: entities whose ids are kept, one list each, named `<entity>_ids`.
        length: how many events are kept.
        window: how many days back an event may lie.
    """

    name: str
    keys: tuple[Entity, ...]
    task: str
    elements: tuple[Entity, ...]
    length: int
    window: int
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "sequence group")
        if self.length < 1 or self.window < 1 or not self.elements or not self.keys:
            raise DeclarationError(
                f"sequence group {self.name} needs keys, elements, a length and a window of at least 1"
            )

    @property
    def ttl(self) -> timedelta:
        return timedelta(days=self.window)

    @property
    def tasks(self) -> tuple[str, ...]:
        return (self.task,)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        ids = tuple(
            Feature(
                f"{element.name}_ids", DType.STRINGS, Role.SEQUENCE, Encoding.SEQUENCE,
                vocabulary=element.column, max_null_share=0.0,
                description=f"{element.name} of the last {self.length} {self.task} events, newest first",
            )
            for element in self.elements
        )  # fmt: skip
        times = Feature(
            "event_times", DType.INTS, Role.SEQUENCE, Encoding.AGE,
            description="when they happened, microseconds since 1970 UTC",
        )  # fmt: skip
        return (*ids, times)


@dataclass(frozen=True)
class Profile:
    """Columns of an entity's profile table (lake/users or lake/items), known from the log's start.

    Attributes:
        table: "users" or "items".
        columns: the columns that become features.
        links: entities whose id the profile knows (an item's author). Events carry these ids
            already; an online lookup reads them here and follows them.
    """

    name: str
    keys: tuple[Entity, ...]
    table: str
    columns: tuple[Feature, ...]
    links: tuple[Entity, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "profile")
        if len(self.keys) != 1:
            raise DeclarationError(f"profile {self.name} must have one key, got {len(self.keys)}")

    @property
    def ttl(self) -> timedelta:
        """Zero: a profile does not age."""
        return timedelta(0)

    @property
    def features(self) -> tuple[Feature, ...]:
        return self.columns


View: TypeAlias = FeatureGroup | SequenceGroup | Profile
