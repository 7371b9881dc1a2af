"""What is expected of a table: suites put together from the declarations.

A table gets two. The *rows* suite runs on the rows of many days at once. The *partitions* suite runs on a
frame with one row per partition, because a share over many days would hide the one day that is broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from great_expectations import ExpectationSuite

from features.compile.expectations import checks
from features.declarations.catalog import Catalog, Volume
from features.declarations.features import DType
from features.declarations.groups import Profile, SequenceGroup, View

TIMESTAMP = "timestamp[us, UTC]"
LABEL = "int8"
STRING = DType.STRING.value


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


def event_suites(catalog: Catalog) -> TableSuites:
    """Suites of the event table: ids, labels, times, and a day's volume."""
    columns = _event_columns(catalog)
    labels = [task.column for task in catalog.tasks]
    partitions = [
        *checks.has_types(columns),
        *checks.usual_volume(catalog.volume),
        *(checks.nulls_at_most(feature.name, feature.max_null_share) for feature in catalog.context),
        *(checks.not_all_null(label) for label in labels),
    ]
    rows = [
        *checks.is_key("event_id"),
        *(checks.never_null(entity.column) for entity in catalog.entities[:3]),
        *checks.within_partition(),
        *checks.known_after_it_happened(),
        *(checks.is_binary(label) for label in labels),
        *(
            check
            for quantity in catalog.quantities
            for check in checks.within_range(quantity.name, DType.FLOAT, quantity.low, quantity.high)
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
        *checks.has_types(columns),
        checks.enough_rows(volume),
        *(checks.nulls_at_most(feature.name, feature.max_null_share) for feature in view.features),
    ]
    rows = [
        *checks.at_its_instants(view, keys),
        *checks.known_after_it_happened(),
        *(check for feature in view.features for check in checks.within_its_range(feature.name, feature)),
        *(checks.is_aligned(view) if isinstance(view, SequenceGroup) else ()),
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
        *checks.has_types(columns),
        checks.some_rows(),
        checks.are_equal("rows", "events", "there is one row for every event of its days"),
        *(check for label in labels for check in checks.worth_learning(label)),
        *(checks.not_all_null(name) for name, feature in features.items() if feature.max_null_share < 1.0),
    ]
    rows = [
        checks.never_null("event_id"),
        checks.unique("event_id"),
        *(checks.never_null(entity.column) for entity in catalog.entities[:3]),
        *checks.within_partition(),
        *(checks.is_binary(label) for label in labels),
        *(check for name, feature in features.items() for check in checks.within_its_range(name, feature)),
    ]
    return _suites(f"training.{service}", partitions, rows, ("event_id",), columns)


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
    partitions: Iterable[checks.Expectation],
    rows: Iterable[checks.Expectation],
    keys: tuple[str, ...],
    columns: Mapping[str, str],
) -> TableSuites:
    return TableSuites(
        partitions=ExpectationSuite(name=f"{name}.partitions", expectations=list(partitions)),
        rows=ExpectationSuite(name=f"{name}.rows", expectations=list(rows)),
        keys=keys,
        columns=columns,
    )
