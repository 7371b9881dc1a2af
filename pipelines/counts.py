"""How many raw rows a day had, and what became of each of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from pipelines.errors import MissingPartitionError
from pipelines.files import write_whole
from pipelines.lake import Lake


class DayCounts(BaseModel):
    """The rows of one day of the raw log; every one is kept, a duplicate or quarantined.

    Attributes:
        ds: the UTC day.
        rows: rows of the raw log.
        kept: rows of lake/events.
        duplicates: rows left out because another one is the same event.
        quarantined: rows of lake/quarantine.
        reasons: why rows were quarantined, to how many.
        fingerprint: what stands for the content of all rows, in whatever order and files they came;
            empty for a day that was ingested before there were any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ds: date
    rows: int
    kept: int
    duplicates: int
    quarantined: int
    reasons: dict[str, int] = {}
    fingerprint: str = ""

    @model_validator(mode="after")
    def _add_up(self) -> DayCounts:
        if self.rows != self.kept + self.duplicates + self.quarantined:
            raise ValueError(
                f"{self.ds}: {self.rows} rows came in, but {self.kept} kept + {self.duplicates} duplicates "
                f"+ {self.quarantined} quarantined is {self.kept + self.duplicates + self.quarantined}"
            )
        if sum(self.reasons.values()) != self.quarantined:
            raise ValueError(
                f"{self.ds}: {self.quarantined} rows quarantined, but reasons are {self.reasons}"
            )
        return self


def write_counts(lake: Lake, counts: DayCounts) -> None:
    """Keep a day's counts next to its partitions, in counts/ds=D.json."""
    write_whole(_path(lake, counts.ds), counts.model_dump_json(indent=2) + "\n")


def read_counts(lake: Lake, ds: date) -> DayCounts:
    """A day's counts.

    Raises:
        MissingPartitionError: the day was never ingested.
    """
    try:
        return DayCounts.model_validate_json(_path(lake, ds).read_bytes())
    except FileNotFoundError:
        raise MissingPartitionError(
            f"{_path(lake, ds)} does not exist; run `gatehouse ingest --ds {ds}` first"
        ) from None


def _path(lake: Lake, ds: date) -> Path:
    return lake.root / "counts" / f"ds={ds}.json"
