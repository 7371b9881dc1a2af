"""The packed online store under a Feast store, and what it serves."""

from __future__ import annotations

from feast import FeatureStore
from pydantic import ValidationError

from features.serving.served import Served
from features.stores.errors import StoreError
from features.stores.online import PackedOnlineStore
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


def find_served(store: FeatureStore) -> Served | None:
    """What the online store of `store` serves; None when it serves nothing."""
    return served_of(Pointer.parse(packed_store(store).backend(store.config).pointer()))


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
