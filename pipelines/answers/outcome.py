"""What became of a served value that was looked up again offline, and what came of a day of them."""

from __future__ import annotations

from datetime import date
from enum import IntEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import ReportError
from pipelines.settings import Settings


class Outcome(IntEnum):
    """How a served value compares with the offline store's."""

    EQUAL = 0
    """To the bit, or both have no value."""
    MISSING_ONLINE = 1
    MISSING_OFFLINE = 2
    DIFFERENT = 3
    CORRECTED = 4
    """Not equal, and a partition that the view was served from has been written anew since."""
    NOT_SERVED = 5
    """Equal to the snapshot that was served; at the request's instant the lake has another one by now."""

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Outcome.EQUAL: "equal",
    Outcome.MISSING_ONLINE: "missing online",
    Outcome.MISSING_OFFLINE: "missing offline",
    Outcome.DIFFERENT: "different",
    Outcome.CORRECTED: "corrected since",
    Outcome.NOT_SERVED: "not served yet",
}
UNEQUAL = (Outcome.MISSING_ONLINE, Outcome.MISSING_OFFLINE, Outcome.DIFFERENT)


class Example(BaseModel):
    """A served value that the offline store does not confirm, in words a person can search for.

    Attributes:
        ids: the ids that were asked for, of the entities that the view is keyed by.
        instant: the instant that ages were judged at, UTC, ISO text.
        snapshot: the last day that the served features knew of, ISO text.
        online, offline: the two values; "null" where there is none.
    """

    model_config = ConfigDict(frozen=True)

    ids: dict[str, str | None]
    instant: str
    snapshot: str
    online: str
    offline: str

    def __str__(self) -> str:
        ids = ", ".join(f"{column}={id_}" for column, id_ in self.ids.items())
        return f"{ids} at {self.instant}: online {self.online}, offline {self.offline}"


class FeatureOutcome(BaseModel):
    """One feature's values of a day.

    Attributes:
        column: its training-set column.
        view: its view.
        counts: label of an outcome to how many values had it.
        examples: of those that are not equal, the worst first.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    view: str
    counts: dict[str, int]
    examples: tuple[Example, ...] = ()

    @property
    def unequal(self) -> int:
        return sum(self.counts[outcome.label] for outcome in UNEQUAL)

    @property
    def judged(self) -> int:
        """Values that could be equal: neither corrected since nor of another snapshot."""
        return self.unequal + self.counts[Outcome.EQUAL.label]

    @property
    def share(self) -> float:
        """Of the judged values, the share that is not equal."""
        return self.unequal / self.judged if self.judged else 0.0


class DayOutcome(BaseModel):
    """What came of a day's answers. It carries no clock, so the same log and lake give the same bytes.

    Attributes:
        ds: the UTC day on which was asked, ISO text.
        requests, rows: how many were compared.
        skipped: why a request was not compared, to how many were not.
        unreadable: lines of the log that are not whole.
        snapshots: the served days that answered, ISO text, ascending.
        max_unequal: share of a feature's values that may be unequal.
        features: in the order of the services.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    ds: str
    requests: int
    rows: int
    skipped: dict[str, int]
    unreadable: int
    snapshots: tuple[str, ...]
    max_unequal: float
    features: tuple[FeatureOutcome, ...]

    @property
    def at_fault(self) -> list[FeatureOutcome]:
        """Features of which too many values are not equal, the worst first."""
        at_fault = [feature for feature in self.features if feature.share > self.max_unequal]
        return sorted(at_fault, key=lambda feature: (-feature.share, feature.column))

    def count(self, kind: Outcome) -> int:
        """How many values had an outcome."""
        return sum(feature.counts[kind.label] for feature in self.features)

    def by_view(self) -> dict[str, list[FeatureOutcome]]:
        """View name to its features."""
        views: dict[str, list[FeatureOutcome]] = {}
        for feature in self.features:
            views.setdefault(feature.view, []).append(feature)
        return views


def outcome_path(settings: Settings, ds: date) -> Path:
    """Where a day's outcome lies."""
    return settings.runs / "consistency" / f"ds={ds}.json"


def newest_outcome(settings: Settings) -> DayOutcome | None:
    """The outcome of the newest day that was compared; None when none was.

    Raises:
        ReportError: it is of another version of Gatehouse.
    """
    found = sorted((settings.runs / "consistency").glob("ds=*.json"))
    if not found:
        return None
    try:
        return DayOutcome.model_validate_json(found[-1].read_bytes())
    except ValidationError as error:
        raise ReportError(
            f"{found[-1]} cannot be read ({error.error_count()} errors); remove it or run "
            f"`gatehouse consistency --ds {found[-1].stem[3:]}`"
        ) from error
