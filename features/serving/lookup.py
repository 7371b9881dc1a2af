"""Look features up online: one user in one scenario, many items, named as in the training set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from feast import FeatureStore

from features.declarations.catalog import Catalog
from features.declarations.entities import ITEM, SCENARIO, USER
from features.declarations.groups import Profile, View
from features.serving.reading import read_view
from features.serving.served import Served, find_served
from features.stores.errors import StoreError
from features.stores.packed import MISSING, ColumnValues, ViewRows
from features.stores.values import join_keys, since_epoch


class Status(StrEnum):
    """What became of a value that was asked for."""

    PRESENT = "present"
    NULL = "null"
    NOT_FOUND = "not found"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Features of N items.

    Attributes:
        columns: training-set column to N values: float32 [N] with NaN, or a list with None, where a
            value is missing.
        statuses: view name to how many values, of distinct keys, were present, null, not found or stale.
    """

    columns: dict[str, ColumnValues]
    statuses: dict[str, Counter[Status]]


class FeatureLookup:
    """Reads a feature service's columns from the online store.

    A view is read once for each distinct key of a request: a user's features once, whatever the
    number of items. Profiles with links come first, for the ids they link to (an item's author)
    are keys of other views.

    Views are taken as they are registered when the lookup is made; after a change of declarations
    a new one is needed.

    Args:
        store: an opened Feast store; see features.store.
        catalog: the data set's declarations.
        service: the feature service to read.

    Raises:
        StoreError: nothing is served, or another data set is.
    """

    def __init__(self, store: FeatureStore, catalog: Catalog, service: str) -> None:
        self._store = store
        self._catalog = catalog
        self._service = catalog.service(service)
        needed = set(self._service.views) | {profile.name for profile in catalog.profiles if profile.links}
        views = [view for view in catalog.views if view.name in needed]
        self._views = sorted(views, key=lambda view: not _links(view))
        self.served()
        self._registered = {view.name: store.get_feature_view(view.name) for view in self._views}

    def batch(
        self,
        *,
        scenario: str,
        user: str,
        items: Sequence[str],
        at: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> dict[str, ColumnValues]:
        """The columns of `look_up`."""
        return self.look_up(scenario=scenario, user=user, items=items, at=at, context=context).columns

    def look_up(
        self,
        *,
        scenario: str,
        user: str,
        items: Sequence[str],
        at: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> FeatureBatch:
        """Features of `user` in `scenario` and of each of `items`, which may repeat.

        Args:
            scenario: the scenario's id.
            user: the user's id.
            items: N item ids.
            at: the instant to judge a row's age at, UTC; by default that of the served snapshot. A row
                that is older than its view's TTL counts as missing.
            context: values of the catalog's context columns; `hour` is taken from `at` otherwise.

        Raises:
            StoreError: nothing is served, or another data set is.
        """
        served = self.served()
        instant = at or served.instant
        rows = len(items)
        ids: dict[str, list[str | None]] = {entity.column: [None] * rows for entity in self._catalog.entities}
        ids |= {USER.column: [user] * rows, SCENARIO.column: [scenario] * rows, ITEM.column: list(items)}
        features: dict[str, ColumnValues] = {}
        statuses: dict[str, Counter[Status]] = {}
        for view in self._views:
            found, index = self._read(view, ids, instant)
            statuses[view.name] = found.statuses
            for link in _links(view):
                ids[link] = _spread(found.columns.pop(link), index)
            features |= {
                f"{view.name}__{name}": _spread(column, index) for name, column in found.columns.items()
            }
        known = {"hour": str(instant.astimezone(UTC).hour), **(context or {})}
        columns: dict[str, ColumnValues] = {**ids}
        columns |= {feature.name: [known.get(feature.name)] * rows for feature in self._catalog.context}
        columns |= {name: features[name] for name, _ in self._catalog.service_columns(self._service.name)}
        return FeatureBatch(columns, statuses)

    def served(self) -> Served:
        """What the store serves.

        Raises:
            StoreError: it serves nothing, or another data set than the catalog's.
        """
        served = find_served(Path(self._store.repo_path))
        wanted = self._catalog.dataset
        if served is None:
            raise StoreError("the online store serves nothing yet; run `gatehouse materialize` first")
        if served.dataset != wanted:
            raise StoreError(
                f"the online store serves {served.dataset}, not {wanted}; run `gatehouse materialize` "
                f"to serve {wanted}, or `gatehouse use {served.dataset}` to go back"
            )
        return served

    def _read(
        self, view: View, ids: Mapping[str, list[str | None]], instant: datetime
    ) -> tuple[_Fresh, npt.NDArray[np.intp]]:
        """The view's rows of the distinct keys in `ids`, and for each item which of them is its own."""
        registered = self._registered[view.name]
        keys = list(zip(*(ids[column] for column in join_keys(registered)), strict=True))
        whole = dict.fromkeys(key for key in keys if None not in key)
        place = {key: position for position, key in enumerate(whole)}
        index = np.array([place.get(key, -1) for key in keys], np.intp)
        names = [*(feature.name for feature in view.features), *_links(view)]
        rows = read_view(self._store, registered, list(whole), names)
        return _fresh(rows, view.ttl, instant), index


@dataclass(frozen=True, slots=True)
class _Fresh:
    """Rows of a view whose stale values have been taken out, and what became of each value."""

    columns: dict[str, ColumnValues]
    statuses: Counter[Status]


def _fresh(rows: ViewRows, ttl: timedelta, instant: datetime) -> _Fresh:
    """Take out rows older than `ttl` at `instant`; Feast itself does not do so online."""
    oldest = since_epoch(instant - ttl) if ttl else MISSING + 1
    absent = rows.events == MISSING
    stale = ~absent & (rows.events < oldest)
    columns: dict[str, ColumnValues] = {}
    present = 0
    for name, column in rows.columns.items():
        if isinstance(column, np.ndarray):
            columns[name] = np.where(stale, np.float32(np.nan), column)
            present += int((~np.isnan(columns[name])).sum())
        else:
            columns[name] = [None if old else value for old, value in zip(stale, column, strict=True)]
            present += sum(value is not None for value in columns[name])
    width = len(rows.columns)
    not_found, too_old = int(absent.sum()) * width, int(stale.sum()) * width
    statuses = {
        Status.PRESENT: present,
        Status.NULL: absent.size * width - present - not_found - too_old,
        Status.NOT_FOUND: not_found,
        Status.STALE: too_old,
    }
    return _Fresh(columns, Counter({status: count for status, count in statuses.items() if count}))


def _spread(column: ColumnValues, index: npt.NDArray[np.intp]) -> Any:
    """The value of each item; -1 is an item whose key is not known."""
    if isinstance(column, np.ndarray):
        return np.append(column, np.float32(np.nan))[index]
    values = [*column, None]
    return [values[position] for position in index]


def _links(view: View) -> tuple[str, ...]:
    """Columns of a profile that hold ids of other entities."""
    return tuple(link.column for link in view.links) if isinstance(view, Profile) else ()
