"""Lookups, made when they are first asked for: a service may start before anything is served."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from feast import FeatureStore
from feast.errors import FeastObjectNotFoundException

from features.declarations.catalog import Catalog
from features.serving.guard import Patience
from features.serving.lookup import FeatureLookup
from features.serving.served import Served
from features.stores.errors import StoreError

Clock = Callable[[Served], datetime]


@dataclass(slots=True)
class Lookups:
    """Safe to share between threads.

    Attributes:
        store: an opened Feast store.
        catalog: the data set's declarations.
        clock: the instant to judge ages at, given what is served.
        patience: what to do about a store that does not answer.
    """

    store: FeatureStore
    catalog: Catalog
    clock: Clock
    patience: Patience
    _made: dict[str, FeatureLookup] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, service: str) -> FeatureLookup:
        """The lookup of a feature service.

        Raises:
            DeclarationError: there is no such service.
            StoreError: nothing is served, another data set is, or a view is not registered.
        """
        made = self._made.get(service)
        if made is not None:
            return made
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _make(self, service: str) -> FeatureLookup:
        try:
            return FeatureLookup(self.store, self.catalog, service, patience=self.patience, clock=self.clock)
        except FeastObjectNotFoundException as error:
            raise StoreError(f"{error}; run `gatehouse materialize` to register it") from error
