"""The packed online store under a Feast store, and what it serves."""

from __future__ import annotations

from feast import FeatureStore
from pydantic import ValidationError

from features.serving.served import Served
from features.stores.errors import StoreError
from features.stores.online import PackedOnlineStore
from features.stores.packed.generations import loss
from features.stores.packed.pointer import Pointer


def served_of(pointer: Pointer) -> Served | None:
    """What `pointer` says is served; None when nothing is.

    Raises:
        StoreError: the record is not one that this version writes.
    """
    if pointer.served is None:
        return None
    try:
        return Served.model_validate(pointer.served)
    except ValidationError as error:
        raise StoreError(
            f"the online store's record of what it serves cannot be read ({error.error_count()} errors); "
            "run `gatehouse materialize`"
        ) from error


class KnownSnapshot:
    """What the store serves, worked out anew only when its pointer has changed.

    Args:
        dataset: the data set that must be served.
    """

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        self._seen: tuple[bytes | None, Served] | None = None

    @property
    def last(self) -> Served | None:
        """What was served when it was last asked for."""
        seen = self._seen
        return seen[1] if seen else None

    def of(self, pointer: bytes | None) -> Served:
        """What `pointer` says is served.

        Raises:
            StoreError: it serves nothing, or another data set.
        """
        seen = self._seen  # another thread may put a newer one there meanwhile
        if seen is not None and seen[0] == pointer:
            return seen[1]
        served = served_of(Pointer.parse(pointer))
        if served is None:
            raise StoreError("the online store serves nothing yet; run `gatehouse materialize` first")
        if served.dataset != self._dataset:
            raise StoreError(
                f"the online store serves {served.dataset}, not {self._dataset}; run `gatehouse materialize` "
                f"to serve {self._dataset}, or `gatehouse use {served.dataset}` to go back"
            )
        self._seen = (pointer, served)
        return served


def find_served(store: FeatureStore) -> Served | None:
    """What the online store of `store` serves; None when it serves nothing."""
    return served_of(Pointer.parse(packed_store(store).backend(store.config).pointer()))


def find_loss(store: FeatureStore) -> str:
    """Why rows of what is served may be missing; empty when none is known to be."""
    backend = packed_store(store).backend(store.config)
    return loss(backend, Pointer.parse(backend.pointer()))


def packed_store(store: FeatureStore) -> PackedOnlineStore:
    """The packed online store of `store`.

    Raises:
        StoreError: feature_store.yaml names another.
    """
    online = store._get_provider().online_store  # Feast has no public way to its stores
    if not isinstance(online, PackedOnlineStore):
        raise StoreError(
            f"feature_store.yaml names {type(online).__name__} as online store; lookups read "
            "features.stores.online.PackedOnlineStore, on SQLite (path) or on Redis or Valkey (url)"
        )
    return online
