"""Compile declarations to Great Expectations suites: what every partition of a table must look like.

A table gets two suites. The *rows* suite runs on the rows of many days at once. The *partitions*
suite runs on a frame with one row per partition (its columns' types, its row count, its null
shares), because a share over many days would hide the one day that is broken. Ranges are checked
by a column's extremes, which costs a tenth of looking at every value; `row_level` turns such an
expectation into the one that points at the rows at fault.

Every expectation says in its `description` what it expects, in words, and names the column it speaks
of in its `meta`; gate messages show both, Data Docs the description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from great_expectations import ExpectationSuite
from great_expectations import expectations as gxe

from features.declarations.catalog import Catalog, Volume
from features.declarations.features import DType, Feature
from features.declarations.groups import Profile, SequenceGroup, View

Expectation: TypeAlias = gxe.Expectation

TIMESTAMP = "timestamp[us, UTC]"
LABEL = "int8"
STRING = DType.STRING.value
FLOAT32_MAX = 3.4028234663852886e38  # beyond it lies only infinity
MAX_QUARANTINED = 0.05  # a log of which more is unusable is broken at its source

# Columns that the gate adds to the rows: the partition's day and the range of time [start, end) its
# events must lie in; a snapshot carries the end. Lists stand in the rows by their length.
DS, PARTITION_START, PARTITION_END = "ds", "partition_start", "partition_end"


@dataclass(frozen=True)
class TableSuites:
    """What is expected of one table.

    Attributes:
        partitions: suite over a frame with one row per partition.
        rows: suite over the table's rows.
        keys: columns that name a row when it is at fault.
        columns: every declared column and its type.
    """

    partitions: ExpectationSuite
    rows: ExpectationSuite
    keys: tuple[str, ...]
    columns: Mapping[str, str]


def type_of(column: str) -> str:
    """Name of the statistic that holds a column's type."""
    return f"{column}.type"


def null_share_of(column: str) -> str:
    """Name of the statistic that holds a column's share of nulls, 0 to 1."""
    return f"{column}.null_share"


def positive_share_of(label: str) -> str:
    """Name of the statistic that holds a label's share of positives in the training days, 0 to 1."""
    return f"{label}.positive_share"


def unknown_share_of(label: str) -> str:
    """Name of the statistic that holds a label's share of nulls in the training days, 0 to 1."""
    return f"{label}.unknown_share"


def event_suites(catalog: Catalog) -> TableSuites:
    """Suites of the event table: ids, labels, times, and a day's volume."""
    columns = _event_columns(catalog)
    labels = [task.column for task in catalog.tasks]
    partitions = [
        *_typed(columns),
        *_volume(catalog.volume),
        *(_null_share(feature.name, feature.max_null_share) for feature in catalog.context),
        *(_not_all_null(label) for label in labels),
    ]
    rows = [
        *_key("event_id"),
        *(_not_null(entity.column) for entity in catalog.entities[:3]),
        *_within_partition(),
        *_known_after_it_happened(),
        *(_binary(label) for label in labels),
        *(
            check
            for quantity in catalog.quantities
            for check in _range(quantity.name, DType.FLOAT, quantity.low, quantity.high)
        ),
    ]
    return _suites("events", partitions, rows, ("event_id",), columns)


def view_suites(view: View, volume: Volume) -> TableSuites:
    """Suites of a view's snapshots: keys, types, ranges, null shares and the snapshot's instant."""
    keys = tuple(key.column for key in view.keys)
    links = view.links if isinstance(view, Profile) else ()
    columns = (
        dict.fromkeys(keys, STRING)
        | {"event_timestamp": TIMESTAMP, "created_timestamp": TIMESTAMP}
        | {feature.name: feature.dtype.value for feature in view.features}
        | {link.column: STRING for link in links}
    )
    partitions = [
        *_typed(columns),
        _enough_rows(volume),
        *(_null_share(feature.name, feature.max_null_share) for feature in view.features),
    ]
    rows = [
        *_instants(view, keys),
        *_known_after_it_happened(),
        *(check for feature in view.features for check in _feature_range(feature.name, feature)),
        *(_aligned(view) if isinstance(view, SequenceGroup) else ()),
    ]
    return _suites(f"features.{view.name}", partitions, rows, keys, columns)


def training_suites(catalog: Catalog, service: str) -> TableSuites:
    """Suites of a training set: every event once, labels worth learning, features within range.

    A feature may be null in a row that came before the first snapshot, but not in all rows.
    """
    features = dict(catalog.service_columns(service))
    columns = _event_columns(catalog) | {name: feature.dtype.value for name, feature in features.items()}
    unneeded = {quantity.name for quantity in catalog.quantities if quantity not in catalog.asked_for}
    for column in ("created_timestamp", *unneeded):
        del columns[column]
    labels = [task.column for task in catalog.tasks]
    partitions = [
        *_typed(columns),
        gxe.ExpectColumnValuesToBeBetween(column="rows", min_value=1, **_says("rows", "there are rows")),
        _equal("rows", "events", "there is one row for every event of its days"),
        *(check for label in labels for check in _worth_learning(label)),
        *(_not_all_null(name) for name, feature in features.items() if feature.max_null_share < 1.0),
    ]
    rows = [
        _not_null("event_id"),
        gxe.ExpectColumnValuesToBeUnique(column="event_id", **_says("event_id", "event_id occurs once")),
        *(_not_null(entity.column) for entity in catalog.entities[:3]),
        *_within_partition(),
        *(_binary(label) for label in labels),
        *(check for name, feature in features.items() for check in _feature_range(name, feature)),
    ]
    return _suites(f"training.{service}", partitions, rows, ("event_id",), columns)


def rows_behind(expectation: Expectation) -> Expectation:
    """The expectation that points at the rows because of which one of a rows suite was not met."""
    match expectation:
        case gxe.ExpectColumnMinToBeBetween(column=column, min_value=low):
            return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low)
        case gxe.ExpectColumnMaxToBeBetween(column=column, max_value=high):
            return gxe.ExpectColumnValuesToBeBetween(column=column, max_value=high)
    return expectation


def nulls_behind(expectation: Expectation) -> Expectation | None:
    """The same for one of a partitions suite: the nulls behind a null share.

    None where no row is at fault but the partition as a whole: its volume, a column's type.
    """
    column = column_of(expectation)
    if getattr(expectation, "column", None) == null_share_of(column):
        return gxe.ExpectColumnValuesToNotBeNull(column=column)
    return None


def column_of(expectation: Expectation) -> str:
    """The data column an expectation of these suites speaks of, or several joined by ", "."""
    return str((expectation.meta or {})["column"])


def words_of(expectation: Expectation) -> str:
    """What an expectation of these suites expects, in words."""
    return str(expectation.description)


def _event_columns(catalog: Catalog) -> dict[str, str]:
    return (
        {"event_id": STRING, "event_timestamp": TIMESTAMP, "created_timestamp": TIMESTAMP}
        | {entity.column: STRING for entity in catalog.entities}
        | {task.column: LABEL for task in catalog.tasks}
        | {quantity.name: DType.FLOAT.value for quantity in catalog.quantities}
        | {feature.name: feature.dtype.value for feature in catalog.context}
    )


def _suites(
    name: str,
    partitions: Iterable[Expectation],
    rows: Iterable[Expectation],
    keys: tuple[str, ...],
    columns: Mapping[str, str],
) -> TableSuites:
    return TableSuites(
        partitions=ExpectationSuite(name=f"{name}.partitions", expectations=list(partitions)),
        rows=ExpectationSuite(name=f"{name}.rows", expectations=list(rows)),
        keys=keys,
        columns=columns,
    )


def _says(column: str, words: str) -> dict[str, Any]:
    return {"description": words, "meta": {"column": column}}


def _typed(columns: Mapping[str, str]) -> Iterable[Expectation]:
    for column, dtype in columns.items():
        yield gxe.ExpectColumnValuesToBeInSet(
            column=type_of(column), value_set=[dtype], **_says(column, f"{column} is there, as {dtype}")
        )


def _volume(volume: Volume) -> Iterable[Expectation]:
    yield _enough_rows(volume)
    yield gxe.ExpectColumnValuesToBeBetween(
        column="ratio",
        max_value=volume.max_ratio,
        **_says("rows", f"at most {volume.max_ratio:g} times the rows of a usual day"),
    )
    yield gxe.ExpectColumnValuesToBeBetween(
        column="quarantined_share",
        max_value=MAX_QUARANTINED,
        **_says("rows", f"at most {MAX_QUARANTINED:.0%} of the raw rows are in quarantine"),
    )


def _enough_rows(volume: Volume) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column="ratio",
        min_value=volume.min_ratio,
        **_says("rows", f"at least {volume.min_ratio:g} times the rows of a usual day"),
    )


def _null_share(column: str, share: float) -> Expectation:
    words = f"at most {share:.0%} of {column} are null" if share else f"{column} is never null"
    return gxe.ExpectColumnValuesToBeBetween(
        column=null_share_of(column), max_value=share, **_says(column, words)
    )


def _not_all_null(column: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=null_share_of(column),
        max_value=1.0,
        strict_max=True,
        **_says(column, f"{column} is not null in every row"),
    )


def _worth_learning(label: str) -> Iterable[Expectation]:
    """Rows of the training days know the label, and not all of them the same one."""
    yield gxe.ExpectColumnValuesToBeBetween(
        column=unknown_share_of(label),
        max_value=1.0,
        strict_max=True,
        **_says(label, f"{label} is not null in every row of the training days"),
    )
    yield gxe.ExpectColumnValuesToBeBetween(
        column=positive_share_of(label),
        min_value=0.0,
        max_value=1.0,
        strict_min=True,
        strict_max=True,
        **_says(label, f"{label} is both 0 and 1 in the training days"),
    )


def _not_null(column: str) -> Expectation:
    return gxe.ExpectColumnValuesToNotBeNull(column=column, **_says(column, f"{column} is not null"))


def _key(*columns: str) -> Iterable[Expectation]:
    """Key columns are never null and occur once in a partition."""
    yield from (_not_null(column) for column in columns)
    named = ", ".join(columns)
    yield gxe.ExpectCompoundColumnsToBeUnique(
        column_list=[DS, *columns], **_says(named, f"({named}) occurs once in a partition")
    )


def _equal(column: str, other: str, words: str) -> Expectation:
    return gxe.ExpectColumnPairValuesToBeEqual(column_A=column, column_B=other, **_says(column, words))


def _within_partition() -> Iterable[Expectation]:
    yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="event_timestamp",
        column_B=PARTITION_START,
        or_equal=True,
        **_says("event_timestamp", "event_timestamp is not before the partition's days (UTC)"),
    )
    yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=PARTITION_END,
        column_B="event_timestamp",
        **_says("event_timestamp", "event_timestamp is not after the partition's days (UTC)"),
    )


def _known_after_it_happened() -> Iterable[Expectation]:
    yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="created_timestamp",
        column_B="event_timestamp",
        or_equal=True,
        **_says("created_timestamp", "created_timestamp is not before event_timestamp"),
    )


def _binary(label: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeInSet(
        column=label, value_set=[0, 1], **_says(label, f"{label} is 0, 1 or null")
    )


def _instants(view: View, keys: tuple[str, ...]) -> Iterable[Expectation]:
    """A key has one row, at the end of the day; in an intraday view it has one at any instant of it."""
    if isinstance(view, Profile) or not view.intraday:
        yield from _key(*keys)
        yield _equal("event_timestamp", PARTITION_END, "event_timestamp is the instant of the snapshot")
        return
    yield from _key(*keys, "event_timestamp")
    for earlier, later, or_equal in (
        (PARTITION_START, "event_timestamp", False),
        ("event_timestamp", PARTITION_END, True),
    ):
        yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=later,
            column_B=earlier,
            or_equal=or_equal,
            **_says("event_timestamp", "event_timestamp lies within the partition's day, its end included"),
        )


def _feature_range(column: str, feature: Feature) -> Iterable[Expectation]:
    return _range(column, feature.dtype, feature.low, feature.high)


def _range(column: str, dtype: DType, low: float | None, high: float | None) -> Iterable[Expectation]:
    """A number keeps its declared bounds; a float without a bound is at least finite."""
    finite = FLOAT32_MAX if dtype is DType.FLOAT else None
    lowest = -FLOAT32_MAX if low is None and finite else low
    highest = finite if high is None else high
    if lowest is not None:
        words = f"{column} is finite" if low is None else f"{column} is at least {low:g}"
        yield gxe.ExpectColumnMinToBeBetween(column=column, min_value=lowest, **_says(column, words))
    if highest is not None:
        words = f"{column} is finite" if high is None else f"{column} is at most {high:g}"
        yield gxe.ExpectColumnMaxToBeBetween(column=column, max_value=highest, **_says(column, words))


def _aligned(view: SequenceGroup) -> Iterable[Expectation]:
    """The lists of a sequence have one element an event each, and no more events than declared."""
    first, *others = (feature.name for feature in view.features)
    yield gxe.ExpectColumnMaxToBeBetween(
        column=first,
        max_value=view.length,
        **_says(first, f"{first} has at most {view.length} elements"),
    )
    for other in others:
        yield _equal(other, first, f"{other} has as many elements as {first}")
