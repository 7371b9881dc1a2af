"""Look features up online: one user in one scenario, many items, named as in the training set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feast import FeatureStore

from features.declarations.catalog import Catalog
from features.declarations.entities import ITEM, SCENARIO, USER
from features.home import catalog_of
from features.serving.batch import FeatureBatch
from features.serving.defaults import default_batches
from features.serving.guard import CircuitBreaker, Patience
from features.serving.links import Links
from features.serving.online import KnownSnapshot, packed_store
from features.serving.outputs import Outputs
from features.serving.reader import Found, Ids, ReadView, ViewReader
from features.serving.served import Served
from features.store import open_store
from features.stores.errors import StoreUnavailableError

_RESTARTS = 3


class FeatureLookup:
    """Reads a feature service's columns from the online store.

    A request is one round trip. A view is read once for each distinct key, a user's features once
    whatever the number of items. Keys of views that a profile links to (an item's author) are guessed from
    what the profile said last; only where it says something else now is there a second trip.

    Views are taken as they are registered when the lookup is made; after a change of declarations
    a new one is needed. Safe to share between threads.

    Args:
        store: an opened Feast store; see features.store.
        catalog: the data set's declarations.
        service: the feature service to read.
        patience: what to do about a store that does not answer.
        clock: the instant to judge ages at, given what is served; by default that of the served snapshot.

    Raises:
        StoreError: the store is not the packed one, or serves nothing, or serves another data set.
    """

    def __init__(
        self,
        store: FeatureStore,
        catalog: Catalog,
        service: str,
        *,
        patience: Patience | None = None,
        clock: Callable[[Served], datetime] = lambda served: served.instant,
    ) -> None:
        self.catalog = catalog
        self.service = catalog.service(service)
        self._backend = packed_store(store).backend(store.config)
        self._snapshot = KnownSnapshot(catalog.dataset)
        self.served()
        self._breaker = CircuitBreaker(patience or Patience())
        self._clock = clock
        profiles = [profile for profile in catalog.profiles if profile.links]
        needed = {*self.service.views, *(profile.name for profile in profiles)}
        views = [view for view in catalog.views if view.name in needed]
        linked = {link for profile in profiles for link in profile.links}
        registered = {view.name: ReadView.of(store.get_feature_view(view.name)) for view in views}
        self._views = list(registered.values())
        direct = [registered[view.name] for view in views if not linked & set(view.keys)]
        self._linked = [registered[view.name] for view in views if linked & set(view.keys)]
        self._direct_reader = ViewReader(self._backend, direct)
        self._linked_reader = ViewReader(self._backend, self._linked)
        self._whole_reader = ViewReader(self._backend, self._views)
        self._links = Links(profiles)
        schemas = {view.schema.name: view.schema for view in self._views}
        self._outputs = Outputs(catalog, service, schemas)

    @classmethod
    def open(cls, service: str, home: Path, **options: Any) -> FeatureLookup:
        """The lookup of `service` for the data set that `home`/params.yaml names, with Feast's state there.

        `options` are those of the constructor.
        """
        return cls(open_store(home), catalog_of(home), service, **options)

    @property
    def breaker(self) -> CircuitBreaker:
        """Open while the store is left alone."""
        return self._breaker

    def batch(
        self,
        *,
        scenario: str,
        user: str,
        items: Sequence[str],
        at: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> FeatureBatch:
        """Features of `user` in `scenario` and of each of `items`, which may repeat.

        When the store does not answer, every feature has its declared default and the batch is flagged
        as degraded.

        Args:
            scenario: the scenario's id.
            user: the user's id.
            items: N item ids.
            at: the instant to judge a row's age at, UTC; by default the lookup's clock tells it. A row
                that is older than its view's TTL counts as missing.
            context: values of the catalog's context columns; `hour` is taken from the instant otherwise.

        Raises:
            StoreError: nothing is served, or another data set is.
        """
        size = len(items)
        given: dict[str, Ids] = {entity.column: [None] * size for entity in self.catalog.entities}
        given |= {USER.column: user, SCENARIO.column: scenario, ITEM.column: items}
        served: Served | None = None
        try:
            served, ids, found = self._breaker.call(lambda: self._read(given, size))
            instant = at or self._clock(served)
            views = found.settled(self._views, instant)
        except StoreUnavailableError:
            ids = given
            views = default_batches(self.catalog, (view.schema for view in self._views), size)
            last = self._snapshot.last
            instant = at or (self._clock(last) if last else datetime.now(UTC))
        known = {"hour": str(instant.astimezone(UTC).hour), **(context or {})}
        for feature in self.catalog.context:
            ids = ids | {feature.name: known.get(feature.name) or [None] * size}
        return FeatureBatch(ids, views, self._outputs, instant, size, served is None, served)

    def served(self) -> Served:
        """What the store serves now.

        Raises:
            StoreError: it serves nothing, or another data set than the catalog's.
            StoreUnavailableError: it does not answer.
        """
        return self._snapshot.of(self._backend.pointer())

    def _read(self, given: dict[str, Ids], size: int) -> tuple[Served, dict[str, Ids], Found]:
        """What is served, the ids with the linked ones, and the rows, all of one instant."""
        for _ in range(_RESTARTS):
            guess = self._links.guess(given, size) if self._linked else {}
            reader = self._direct_reader if guess is None else self._whole_reader
            found = reader.read(given | (guess or {}), size)
            served = self._snapshot.of(found.pointer)
            followed = self._links.follow(given, found.views, size)
            if followed == guess or not self._linked:
                return served, given | followed, found
            linked = self._linked_reader.read(given | followed, size)
            if linked.pointer == found.pointer:
                return served, given | followed, Found(found.pointer, found.views | linked.views)
        raise StoreUnavailableError("what the online store serves changes faster than it can be read")
