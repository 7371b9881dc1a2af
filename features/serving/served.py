"""What the online store serves: put in place by materialize in one step, and read with every lookup."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from feast import FeatureStore
from pydantic import BaseModel, ConfigDict, ValidationError

from features.stores.errors import StoreError
from features.stores.online import PackedOnlineStore
from features.stores.packed.pointer import Pointer

RECEIPT = "served.json"


class ServedView(BaseModel):
    """One view's share of what is served.

    Attributes:
        content: hash of the partitions its rows come from.
        rows: keys in the newest of them.
        newest: event_timestamp of its newest row, UTC; None when it has no rows.
    """

    model_config = ConfigDict(frozen=True)

    content: str
    rows: int
    newest: datetime | None = None


class Served(BaseModel):
    """The snapshot that lookups see.

    Attributes:
        dataset: whose users and items the online store's keys are.
        ds: the last day its features know of.
        views: view name to its share.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    ds: date
    views: dict[str, ServedView]

    @property
    def instant(self) -> datetime:
        """The first instant after `ds`, UTC: the event_timestamp of its snapshots."""
        return datetime.combine(self.ds + timedelta(days=1), time(), tzinfo=UTC)

    def record(self) -> dict[str, Any]:
        """The snapshot as the store's pointer keeps it."""
        return self.model_dump(mode="json")


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


def write_receipt(state: Path, served: Served) -> None:
    """Leave a copy of what is served in the folder `state`, for DVC and the report."""
    draft = state / f".{RECEIPT}.{uuid.uuid4().hex}"
    draft.write_text(served.model_dump_json(indent=2) + "\n", encoding="utf-8")
    draft.replace(state / RECEIPT)


def read_receipt(state: Path) -> Served | None:
    """The copy that `write_receipt` left; None when there is none or it cannot be read."""
    try:
        return Served.model_validate_json((state / RECEIPT).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
