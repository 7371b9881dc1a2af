"""Single checks, each an expectation that says in words what it expects and of which column.

Gate messages show both, Data Docs the words. Ranges are checked by a column's extremes, which costs a tenth
of looking at every value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from great_expectations import expectations as gxe

from features.compile.expectations.frames import (
    DS,
    PARTITION_END,
    PARTITION_START,
    null_share_of,
    positive_share_of,
    type_of,
    unknown_share_of,
)
from features.declarations.catalog import Volume
from features.declarations.features import DType, Feature
from features.declarations.groups import Profile, SequenceGroup, View

Expectation: TypeAlias = gxe.Expectation

FLOAT32_MAX = 3.4028234663852886e38  # beyond it lies only infinity
MAX_QUARANTINED = 0.05  # a log of which more is unusable is broken at its source


def column_of(expectation: Expectation) -> str:
    """The data column an expectation of these suites speaks of, or several joined by ", "."""
    return str((expectation.meta or {})["column"])


def words_of(expectation: Expectation) -> str:
    """What an expectation of these suites expects, in words."""
    return str(expectation.description)


def _says(column: str, words: str) -> dict[str, Any]:
    return {"description": words, "meta": {"column": column}}


def has_types(columns: Mapping[str, str]) -> Iterable[Expectation]:
    """Every column is there, with its type."""
    for column, dtype in columns.items():
        yield gxe.ExpectColumnValuesToBeInSet(
            column=type_of(column), value_set=[dtype], **_says(column, f"{column} is there, as {dtype}")
        )


def usual_volume(volume: Volume) -> Iterable[Expectation]:
    """A day has about the rows of a usual one, and few of its raw rows are in quarantine."""
    yield enough_rows(volume)
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


def enough_rows(volume: Volume) -> Expectation:
    """A partition has at least the declared part of the rows of a usual day."""
    return gxe.ExpectColumnValuesToBeBetween(
        column="ratio",
        min_value=volume.min_ratio,
        **_says("rows", f"at least {volume.min_ratio:g} times the rows of a usual day"),
    )


def some_rows() -> Expectation:
    """A partition is not empty."""
    return gxe.ExpectColumnValuesToBeBetween(column="rows", min_value=1, **_says("rows", "there are rows"))


def nulls_at_most(column: str, share: float) -> Expectation:
    """At most a share, 0 to 1, of a partition is null."""
    words = f"at most {share:.0%} of {column} are null" if share else f"{column} is never null"
    return gxe.ExpectColumnValuesToBeBetween(
        column=null_share_of(column), max_value=share, **_says(column, words)
    )


def not_all_null(column: str) -> Expectation:
    """Some row of a partition has a value."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=null_share_of(column),
        max_value=1.0,
        strict_max=True,
        **_says(column, f"{column} is not null in every row"),
    )


def worth_learning(label: str) -> Iterable[Expectation]:
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


def never_null(column: str) -> Expectation:
    """Every row has a value."""
    return gxe.ExpectColumnValuesToNotBeNull(column=column, **_says(column, f"{column} is not null"))


def is_key(*columns: str) -> Iterable[Expectation]:
    """Key columns are never null and occur once in a partition."""
    yield from (never_null(column) for column in columns)
    named = ", ".join(columns)
    yield gxe.ExpectCompoundColumnsToBeUnique(
        column_list=[DS, *columns], **_says(named, f"({named}) occurs once in a partition")
    )


def unique(column: str) -> Expectation:
    """No two rows have the same value."""
    return gxe.ExpectColumnValuesToBeUnique(column=column, **_says(column, f"{column} occurs once"))


def are_equal(column: str, other: str, words: str) -> Expectation:
    """Two columns are equal in every row."""
    return gxe.ExpectColumnPairValuesToBeEqual(column_A=column, column_B=other, **_says(column, words))


def within_partition() -> Iterable[Expectation]:
    """An event happened within its partition's days."""
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


def known_after_it_happened() -> Iterable[Expectation]:
    """No row was created before its event."""
    yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="created_timestamp",
        column_B="event_timestamp",
        or_equal=True,
        **_says("created_timestamp", "created_timestamp is not before event_timestamp"),
    )


def is_binary(label: str) -> Expectation:
    """A label is 0, 1 or null."""
    return gxe.ExpectColumnValuesToBeInSet(
        column=label, value_set=[0, 1], **_says(label, f"{label} is 0, 1 or null")
    )


def at_its_instants(view: View, keys: tuple[str, ...]) -> Iterable[Expectation]:
    """A key has one row, at the end of the day; in an intraday view it has one at any instant of it."""
    if isinstance(view, Profile) or not view.intraday:
        yield from is_key(*keys)
        yield are_equal("event_timestamp", PARTITION_END, "event_timestamp is the instant of the snapshot")
        return
    yield from is_key(*keys, "event_timestamp")
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


def within_its_range(column: str, feature: Feature) -> Iterable[Expectation]:
    """A feature's values keep its bounds, see `within_range`."""
    return within_range(column, feature.dtype, feature.low, feature.high)


def within_range(column: str, dtype: DType, low: float | None, high: float | None) -> Iterable[Expectation]:
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


def is_aligned(view: SequenceGroup) -> Iterable[Expectation]:
    """The lists of a sequence have one element an event each, and no more events than declared."""
    first, *others = (feature.name for feature in view.features)
    yield gxe.ExpectColumnMaxToBeBetween(
        column=first,
        max_value=view.length,
        **_says(first, f"{first} has at most {view.length} elements"),
    )
    for other in others:
        yield are_equal(other, first, f"{other} has as many elements as {first}")
