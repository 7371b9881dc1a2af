"""What is watched for drift: which columns of a table, as which values, and from which day on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from features.declarations.catalog import Catalog
from features.declarations.features import DType, Encoding, Feature
from features.declarations.groups import FeatureGroup, Profile, View
from features.declarations.measures import Count

_MICROSECONDS_AN_HOUR = 3.6e9


@dataclass(frozen=True, slots=True)
class Watched:
    """A column that is watched for drift.

    Attributes:
        column: its name in the table.
        feature: its declaration, which sets how far it may drift.
        keys: columns whose distinct values count as the draws: a thousand rows of one user know
            his features once.
        window: how far back its values look; zero where they do not look back.
        reach: how far back it is known at all: a key without an event in that time has no value.
        missing: the value of a row without one; None where such a row is compared by nothing.
        among: the count that is above zero in the rows that are compared; empty where all are.
        instead: what is watched where `window` never lies within the log on the training days.
    """

    column: str
    feature: Feature
    keys: tuple[str, ...]
    window: timedelta
    reach: timedelta
    missing: float | None
    among: str = ""
    instead: Watched | None = None


def watched_rows(catalog: Catalog, service: str) -> Iterator[Watched]:
    """Columns of a training set: the service's features and the context of the request.

    A key that has no snapshot had no event: its counts are 0 and its rates the prior. That is what
    the declared default says and what a model is told, so it is what is compared; the distribution
    then depends on the feature's own window and not on how long its view remembers.
    """
    user = catalog.entities[0]
    for feature in catalog.context:
        yield Watched(feature.name, feature, (user.column,), timedelta(0), timedelta(0), None)
    for name in catalog.service(service).views:
        view = catalog.view(name)
        for feature in view.features:
            yield Watched(
                column=f"{name}__{feature.name}",
                feature=feature,
                keys=tuple(key.column for key in view.keys),
                window=window_of(view, feature),
                reach=view.ttl,
                missing=_missing(view, feature),
            )


def watched_view(view: View) -> Iterator[Watched]:
    """Columns of a view's snapshots.

    Which keys a snapshot has depends on the view's longest window, and so does how many of them were
    idle in a shorter one. Where the longest never lies within the log, features of a window whose events
    the view counts are compared among the keys that have one: those depend on that window alone.
    """
    keys = tuple(key.column for key in view.keys)
    counts = _counts(view)
    for feature in view.features:
        watched = Watched(feature.name, feature, keys, view.ttl, view.ttl, _missing(view, feature))
        window = window_of(view, feature)
        count = counts.get(window, feature.name)
        if count != feature.name:
            active = replace(watched, window=window, reach=window, among=count)
            watched = replace(watched, instead=active)
        yield watched


def window_of(view: View, feature: Feature) -> timedelta:
    """How far back a feature looks: a group's as declared, a sequence's as far as its view."""
    if not isinstance(view, FeatureGroup):
        return view.ttl
    windows = (window for _, window in view.measured_windows)
    return dict(zip((own.name for own in view.features), windows, strict=True))[feature.name]


def among(table: pa.Table, count: str) -> pa.Table:
    """The rows in which a count is above zero; all of them where it has no name."""
    return table.filter(pc.greater(table[count], 0)) if count else table


def values(table: pa.Table, watched: Watched) -> pa.ChunkedArray:
    """The values to compare, of rows that are: a list by its length, an instant by the hours since."""
    column = table[watched.column]
    if pa.types.is_list(column.type):
        column = pc.list_value_length(column)
    if watched.feature.encoding is Encoding.ELAPSED:
        now = table["event_timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        column = pc.divide(pc.subtract(now, column).cast(pa.float64()), _MICROSECONDS_AN_HOUR)
    if watched.missing is None:
        return column
    missing = pa.scalar(watched.missing).cast(column.type)
    return pc.if_else(pc.is_null(column, nan_is_null=True), missing, column)


def units(table: pa.Table, keys: Sequence[str]) -> int:
    """How many different keys the rows are about."""
    return int(table.select(list(keys)).group_by(list(keys)).aggregate([]).num_rows)


def _counts(view: View) -> dict[timedelta, str]:
    """The feature that counts the events in a window, for windows that have one."""
    if not isinstance(view, FeatureGroup):
        return {}
    measured = zip(view.measured_windows, view.features, strict=True)
    return {window: feature.name for (measure, window), feature in measured if isinstance(measure, Count)}


def _missing(view: View, feature: Feature) -> float | None:
    if isinstance(view, Profile):
        return None
    if feature.dtype.is_list:
        return 0.0
    return None if feature.dtype is DType.STRING or feature.default is None else float(feature.default)
