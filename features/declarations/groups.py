"""Feature groups: what is aggregated from events, kept as a recent sequence, or read from a profile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TypeAlias, TypeVar

from features.declarations.entities import Entity
from features.declarations.errors import DeclarationError
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.measures import (
    Measure,
    Trend,
    entity_of,
    feature_of,
    quantity_of,
    task_of,
    windows_of,
)
from features.declarations.names import checked_name
from features.declarations.quantities import Quantity
from features.declarations.windows import DAY, HOUR, words

T = TypeVar("T")

TILES = (DAY, HOUR)
LONGEST_INTRADAY = DAY * 7


class _Tiled(ABC):
    """What follows from the tiles that windows are made of."""

    tile: timedelta

    @property
    @abstractmethod
    def all_windows(self) -> tuple[timedelta, ...]:
        """Every window there is, ascending."""

    @property
    def intraday(self) -> bool:
        return self.tile < DAY

    @property
    def ttl(self) -> timedelta:
        """How long a row is usable: until the longest window has left its last event behind."""
        return self.all_windows[-1] + (self.tile if self.intraday else timedelta(0))

    @property
    def reach(self) -> int:
        """How many days before its own a snapshot is made from; the last is the one just left behind."""
        return -(-self.ttl // DAY)

    def _require_tiled(self, name: str) -> None:
        """Windows are whole tiles; an intraday group, which has a row for each event, can afford less."""
        if self.tile not in TILES:
            raise DeclarationError(f"{name}: a tile is DAY or HOUR, not {self.tile}")
        for window in self.all_windows:
            if window < self.tile:
                raise DeclarationError(
                    f"{name}: a window of {words(window)} is shorter than a tile ({words(self.tile)})"
                    + ("; an intraday group, tile=HOUR, may have it" if HOUR <= window < DAY else "")
                )
            if window % self.tile:
                raise DeclarationError(
                    f"{name}: a window of {words(window)} is no multiple of a tile ({words(self.tile)})"
                )
        if self.intraday and self.all_windows[-1] > LONGEST_INTRADAY:
            raise DeclarationError(
                f"{name}: a window of {words(self.all_windows[-1])} over hourly tiles is "
                f"longer than {words(LONGEST_INTRADAY)}; declare a group of daily tiles for it"
            )


@dataclass(frozen=True)
class FeatureGroup(_Tiled):
    """Measures of the event table over windows, per key, summed from tiles.

    With daily tiles a key has one snapshot a day: windows are whole days and end with the snapshot's.
    With hourly tiles the group is intraday: a key has a row for every instant at which its features
    change, that is after each of its events and whenever an hour leaves a window. A window then reaches
    back from the start of the current hour, and to the very instant (the exact head).

    Attributes:
        name: the Feast view's name.
        keys: one entity or more.
        measures: what is measured.
        windows: lengths, ascending, each a multiple of the tile; see features.declarations.windows.
        role: the role of all its features.
        tile: DAY, or HOUR for an intraday group.
    """

    name: str
    keys: tuple[Entity, ...]
    measures: tuple[Measure, ...]
    windows: tuple[timedelta, ...]
    role: Role
    tile: timedelta = DAY
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "feature group")
        if not self.keys:
            raise DeclarationError(f"feature group {self.name} has no keys; name at least one entity")
        if not self.measures:
            raise DeclarationError(f"feature group {self.name} measures nothing; name at least one measure")
        if not self.windows or list(self.windows) != sorted(set(self.windows)):
            raise DeclarationError(
                f"feature group {self.name}: windows {', '.join(map(words, self.windows))} "
                "must be distinct and ascending"
            )
        self._require_tiled(f"feature group {self.name}")
        names = [feature.name for feature in self.features]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise DeclarationError(f"feature group {self.name} declares {', '.join(repeated)} more than once")

    @cached_property
    def all_windows(self) -> tuple[timedelta, ...]:
        """The windows of all measures, ascending; a trend brings its own."""
        named = {window for measure in self.measures for window in windows_of(measure, self.windows)}
        return tuple(sorted(named))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks whose labels the tiles hold, in order of first use."""
        return _distinct(task_of(measure) for measure in self.measures)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Quantities that the tiles hold, in order of first use."""
        return _distinct(quantity_of(measure) for measure in self.measures)

    @property
    def counted(self) -> tuple[Entity, ...]:
        """Entities whose ids the measures read, in order of first use."""
        return _distinct(entity_of(measure) for measure in self.measures)

    @cached_property
    def measured_windows(self) -> tuple[tuple[Measure, timedelta], ...]:
        """Each feature's measure and window, in the order of `features`; trends come last."""
        windowed = tuple(
            (measure, window)
            for window in self.windows
            for measure in self.measures
            if not isinstance(measure, Trend)
        )
        trends = tuple((measure, measure.long) for measure in self.measures if isinstance(measure, Trend))
        return (*windowed, *trends)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        return tuple(feature_of(measure, window, self.role) for measure, window in self.measured_windows)


@dataclass(frozen=True)
class SequenceGroup(_Tiled):
    """The key's most recent positive events, newest first.

    With daily tiles a key has one snapshot a day; with hourly ones a row for every instant at which its
    sequence changes, as an intraday `FeatureGroup` has.

    Attributes:
        task: an event belongs to the sequence when this label is 1.
        elements: entities whose ids are kept, one list each, named `<entity>_ids`.
        length: how many events are kept.
        window: how far back an event may lie, a multiple of the tile.
        tile: DAY, or HOUR for an intraday sequence.
    """

    name: str
    keys: tuple[Entity, ...]
    task: str
    elements: tuple[Entity, ...]
    length: int
    window: timedelta
    tile: timedelta = DAY
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "sequence group")
        if self.length < 1 or not self.elements or not self.keys:
            raise DeclarationError(
                f"sequence group {self.name} needs keys, elements and a length of at least 1"
            )
        self._require_tiled(f"sequence group {self.name}")

    @cached_property
    def all_windows(self) -> tuple[timedelta, ...]:
        return (self.window,)

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
        names = [column.name for column in self.columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DeclarationError(f"profile {self.name} declares {', '.join(twice)} twice; once will do")

    @property
    def ttl(self) -> timedelta:
        """Zero: a profile does not age."""
        return timedelta(0)

    @property
    def features(self) -> tuple[Feature, ...]:
        return self.columns


Aggregate: TypeAlias = FeatureGroup | SequenceGroup
View: TypeAlias = Aggregate | Profile


def _distinct(named: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(item for item in named if item is not None))
