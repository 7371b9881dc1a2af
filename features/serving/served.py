"""What the online store serves: put in place by materialize in one step, and read with every lookup."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from features.files import write_whole

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
        """The snapshot as the store's pointer keeps it, with its instant in microseconds since 1970."""
        return self.model_dump(mode="json") | {"instant": int(self.instant.timestamp()) * 1_000_000}


def write_receipt(state: Path, served: Served) -> None:
    """Leave a copy of what is served in the folder `state`, for DVC and the report."""
    write_whole(state / RECEIPT, (served.model_dump_json(indent=2) + "\n").encode())


def read_receipt(state: Path) -> Served | None:
    """The copy that `write_receipt` left; None when there is none or it cannot be read."""
    try:
        return Served.model_validate_json((state / RECEIPT).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def served_day(state: Path, dataset: str) -> date | None:
    """The last day that is served, by the copy in `state`; None where nothing is, or another data set."""
    receipt = read_receipt(state)
    return receipt.ds if receipt is not None and receipt.dataset == dataset else None
