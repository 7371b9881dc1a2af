"""What the online store serves: written last by materialize, read first by a lookup."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from features.stores.errors import StoreError

SERVED = "served.json"


class ServedView(BaseModel):
    """One view's share of what is served.

    Attributes:
        content: hash of the partitions its rows come from.
        rows: keys in the newest of them.
    """

    model_config = ConfigDict(frozen=True)

    content: str
    rows: int


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


def find_served(state: Path) -> Served | None:
    """What the store with its state in the folder `state` serves; None when it serves nothing.

    Raises:
        StoreError: the file cannot be read.
    """
    path = state / SERVED
    try:
        return Served.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StoreError(
            f"{path} cannot be read ({error.error_count()} errors); remove it and run `gatehouse materialize`"
        ) from error


def write_served(state: Path, served: Served) -> None:
    """Put a new snapshot in place by one rename."""
    draft = state / f".{SERVED}.{uuid.uuid4().hex}"
    draft.write_text(served.model_dump_json(indent=2) + "\n", encoding="utf-8")
    draft.replace(state / SERVED)


def withdraw_served(state: Path) -> None:
    """Serve nothing, until the next `write_served`."""
    (state / SERVED).unlink(missing_ok=True)
