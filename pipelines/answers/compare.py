"""Look served values up again offline, and tell of each what became of it.

A value is looked up at two instants: the request's own, which is that of a training row, and that of the
snapshot which was served. Where the two have different rows, the online store was behind the lake (or ahead,
if it was asked about the past), as it is between midnight and the end of materialize. That is counted apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore
from feast.errors import FeatureServiceNotFoundException

from features.declarations.catalog import Catalog
from features.serving.served import Served
from features.stores.errors import StoreError
from pipelines.answers.logged import Answers
from pipelines.answers.outcome import Outcome

Content = Callable[[str, date], str | None]
"""Hash of what a view has to serve on a day, as its partitions are now; None when they are gone."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Compared:
    """One feature of R answers.

    Attributes:
        column: its training-set column.
        view: its view.
        offline: what the offline store says at the instant of each answer.
        outcomes: uint8 [R] of `Outcome`.
    """

    column: str
    view: str
    offline: pa.ChunkedArray
    outcomes: npt.NDArray[np.uint8]


def compare(store: FeatureStore, catalog: Catalog, answers: Answers, content: Content) -> list[Compared]:
    """What became of every value of `answers`, a feature at a time.

    Raises:
        StoreError: the registry does not know the feature service.
    """
    then = look_up_offline(store, answers, answers.instants)
    moved = answers.instants != answers.served
    as_served = look_up_offline(store, answers, answers.served) if moved.any() else then
    compared: list[Compared] = []
    for view in catalog.service(answers.service).views:
        columns = [f"{view}__{feature.name}" for feature in catalog.view(view).features]
        columns = [column for column in columns if column in answers.values.column_names]
        other_row = np.zeros(len(moved), np.bool_)
        for column in columns:
            other_row |= ~_same(then[column], as_served[column])
        emptied = answers.stale.get(view, np.zeros(len(moved), np.bool_)) & other_row
        rewritten = _rewritten(answers, view, content)  # asked after the join: a day may be swapped meanwhile
        for column in columns:
            online, offline = answers.values[column], then[column]
            outcomes = _unequal(online, offline)
            outcomes[rewritten] = Outcome.CORRECTED
            outcomes[moved & (_same(online, as_served[column]) | emptied)] = Outcome.NOT_SERVED
            outcomes[_same(online, offline)] = Outcome.EQUAL
            compared.append(Compared(column, view, offline, outcomes))
    return compared


def look_up_offline(store: FeatureStore, answers: Answers, instants: npt.NDArray[np.int64]) -> pa.Table:
    """The service's columns for the ids of `answers`, as training rows of `instants` have them.

    Raises:
        StoreError: the registry does not know the feature service.
    """
    try:
        service = store.get_feature_service(answers.service)
    except FeatureServiceNotFoundException as error:
        raise StoreError(
            f"the registry has no feature service {answers.service}; run `gatehouse materialize`, which "
            "registers what is declared"
        ) from error
    times = pa.array(instants).cast(pa.timestamp("us", "UTC"))
    spine = answers.ids.append_column("event_timestamp", times)
    found = store.get_historical_features(spine, service, full_feature_names=True).to_arrow()
    return found.select(answers.values.column_names).cast(answers.values.schema)


def _rewritten(answers: Answers, view: str, content: Content) -> Flags:
    """Rows whose snapshot of `view` is not what it was when it was served, [R]."""
    of_requests = [_has_changed(own.served, view, content) for own in answers.requests]
    return np.array(of_requests, np.bool_)[answers.request]


def _has_changed(served: Served | None, view: str, content: Content) -> bool:
    share = served.views.get(view) if served else None
    return served is None or share is None or share.content != content(view, served.ds)


def _unequal(online: pa.ChunkedArray, offline: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """What two values are that are not the same, [R]."""
    here, there = _present(online), _present(offline)
    return np.select(
        [here & there, there], [Outcome.DIFFERENT, Outcome.MISSING_ONLINE], Outcome.MISSING_OFFLINE
    ).astype(np.uint8)


def _same(left: pa.ChunkedArray, right: pa.ChunkedArray) -> Flags:
    """Where two columns of a type have the same value, floats to the bit, or both have none, [R]."""
    if pa.types.is_float32(left.type):
        equal: Flags = _bits(left) == _bits(right)
    elif pa.types.is_list(left.type):
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        equal = np.fromiter((one == other for one, other in pairs), np.bool_, len(left))
    else:
        equal = _flags(pc.fill_null(pc.equal(left, right), False))
    same: Flags = equal | (~_present(left) & ~_present(right))
    return same


def _bits(column: pa.ChunkedArray) -> npt.NDArray[np.uint32]:
    floats: npt.NDArray[np.float32] = column.to_numpy().astype(np.float32)
    return floats.view(np.uint32)


def _present(column: pa.ChunkedArray) -> Flags:
    """Where there is a value, [R]; NaN is none."""
    return ~_flags(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)))


def _flags(column: pa.ChunkedArray) -> Flags:
    flags: Flags = column.to_numpy().astype(np.bool_)
    return flags
