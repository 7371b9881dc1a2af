"""Feast's own contract: any views' features of any entities, in the words of Feast's feature server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from feast import FeatureStore
from feast.errors import (
    FeatureNameCollisionError,
    FeatureServiceNotFoundException,
    FeatureViewNotFoundException,
)

from features.serving.batch import ViewBatch
from features.serving.guard import CircuitBreaker, Patience
from features.serving.online import KnownSnapshot, packed_store
from features.serving.reader import ReadView, ViewReader
from features.serving.web.errors import RefusedError
from features.serving.web.lookups import Clock
from features.stores.errors import StoreError

_PLANS = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """What a list of features takes to read.

    Attributes:
        names: what each feature is called in the response.
        features: view and feature, in the same order.
        views: the views they belong to.
        keys: join keys of those views.
        reader: reads them.
    """

    names: tuple[str, ...]
    features: tuple[tuple[str, str], ...]
    views: tuple[ReadView, ...]
    keys: tuple[str, ...]
    reader: ViewReader


@dataclass(frozen=True, slots=True)
class Registered:
    """What the registry says: views by name, and the features of each feature service."""

    views: dict[str, ReadView]
    services: dict[str, tuple[tuple[str, str], ...]]

    @classmethod
    def of(cls, store: FeatureStore) -> Registered:
        """What is registered in `store` now.

        Raises:
            StoreError: no view is.
        """
        views = {view.name: ReadView.of(view) for view in store.list_feature_views()}
        if not views:
            raise StoreError("no feature view is registered yet; run `gatehouse materialize` first")
        services = {
            service.name: tuple(
                (projection.name, feature.name)
                for projection in service.feature_view_projections
                for feature in projection.features
            )
            for service in store.list_feature_services()
        }
        return cls(views, services)


class OnlineFeatures:
    """Reads features as Feast's `get_online_features` does, but with its views' TTL enforced.

    Views and services are taken as they are registered at the first request. Safe to share between threads.

    Args:
        store: an opened Feast store.
        dataset: the data set that must be served.
        clock: the instant to judge ages at, given what is served.
        patience: what to do about a store that does not answer.
    """

    def __init__(self, store: FeatureStore, dataset: str, clock: Clock, patience: Patience) -> None:
        self._store = store
        self._backend = packed_store(store).backend(store.config)
        self._clock = clock
        self._snapshot = KnownSnapshot(dataset)
        self.breaker = CircuitBreaker(patience)
        self.plan = lru_cache(_PLANS)(self._plan)

    @cached_property
    def registered(self) -> Registered:
        return Registered.of(self._store)

    @cached_property
    def keys(self) -> frozenset[str]:
        """All join keys of the project."""
        return frozenset(key for view in self.registered.views.values() for key in view.schema.keys)

    def read(self, plan: Plan, ids: Mapping[str, Sequence[str]], size: int) -> dict[str, ViewBatch]:
        """View name to the `size` rows whose keys are `ids`, without values that are too old.

        Raises:
            StoreUnavailableError: the store does not answer.
            StoreError: nothing is served, or another data set is.
        """
        found = self.breaker.call(lambda: plan.reader.read(ids, size))
        return found.settled(plan.views, self._clock(self._snapshot.of(found.pointer)))

    def _plan(self, service: str | None, references: tuple[str, ...], full_names: bool) -> Plan:
        """How to read a feature service, or VIEW:FEATURE references when it is None.

        Raises:
            FeastError: no such service or view, or two features would have one name.
            RefusedError: a reference is none, or its view has no such feature.
        """
        features = tuple(self._features(service, references))
        names = tuple(f"{view}__{feature}" if full_names else feature for view, feature in features)
        if len(set(names)) < len(names):
            twice = [
                f"{view}:{feature}"
                for (view, feature), name in zip(features, names, strict=True)
                if names.count(name) > 1
            ]
            raise FeatureNameCollisionError(twice, full_names)
        views = tuple(self.registered.views[name] for name in dict.fromkeys(view for view, _ in features))
        keys = tuple(dict.fromkeys(key for view in views for key in view.schema.keys))
        return Plan(names, features, views, keys, ViewReader(self._backend, views))

    def _features(self, service: str | None, references: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if service is not None:
            if service not in self.registered.services:
                raise FeatureServiceNotFoundException(service, self._store.project)
            yield from self.registered.services[service]
            return
        if not references:
            raise RefusedError(422, "name a feature_service, or features as VIEW:FEATURE")
        for reference in references:
            name, colon, feature = reference.partition(":")
            if not colon:
                raise RefusedError(422, f"{reference!r} is no feature; write VIEW:FEATURE")
            view = self.registered.views.get(name)
            if view is None:
                raise FeatureViewNotFoundException(name, self._store.project)
            if feature not in view.schema.kinds:
                known = ", ".join(view.schema.names)
                raise RefusedError(404, f"view {name} has no feature {feature!r}; it has {known}")
            yield name, feature
