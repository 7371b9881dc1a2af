"""Verdicts: what a gate said of a partition, bound to the partition's content."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import NotValidatedError
from pipelines.files import write_whole
from pipelines.gates.comparison import Drift
from pipelines.lake import Lake
from pipelines.observing.books import note_judged

SHOWN_PARTITIONS = 3
STOPPED = "did not pass its gate"


class Failure(BaseModel):
    """One expectation that a partition does not meet.

    Attributes:
        column: the column at fault, or the columns joined by ", "; "rows" for the row count.
        expectation: what was expected, in words.
        observed: what was found, in words.
        rows: how many rows are at fault; 0 where the partition as a whole is.
        examples: up to five of them, their keys and values.
        message: all of it in one line.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    expectation: str
    observed: str
    rows: int
    examples: tuple[str, ...] = ()
    message: str


class Verdict(BaseModel):
    """A gate's word on one partition. It carries no clock, so the same data gives the same bytes.

    Attributes:
        table: for example "features/user_engagement".
        ds: the day as ISO text, or null for a table without days.
        content: content hash of the manifest that was judged.
        passed: whether later stages may read the partition.
        checks: how many expectations were checked.
        failures: those not met.
        drift: how each feature compares with the training days; None where features are not compared.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    ds: str | None
    content: str
    passed: bool
    checks: int
    failures: tuple[Failure, ...] = ()
    drift: Drift | None = None


def verdict_path(lake: Lake, table: str, ds: date | None) -> Path:
    """Where the verdict on a partition lies: verdicts/TABLE/ds=D.json, or verdicts/TABLE.json."""
    name = f"{table}/ds={ds}" if ds else table
    return lake.root / "verdicts" / f"{name}.json"


def write_verdict(lake: Lake, verdict: Verdict) -> None:
    """Put a verdict in place by one rename, so that nobody reads half of it."""
    ds = date.fromisoformat(verdict.ds) if verdict.ds else None
    write_whole(verdict_path(lake, verdict.table, ds), verdict.model_dump_json(indent=2) + "\n")
    note_judged(verdict)


def find_verdict(lake: Lake, table: str, ds: date | None = None) -> Verdict | None:
    """The verdict on a partition; None when it was never judged, or the verdict cannot be read."""
    try:
        return Verdict.model_validate_json(verdict_path(lake, table, ds).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def require_passed(lake: Lake, table: str, days: Iterable[date] | None) -> None:
    """Insist that every written partition of `table` within `days` has passed its gate as it is now.

    Args:
        lake: the lake of the data set.
        table: for example "events" or "features/user_profile".
        days: the days to look at; None for a table without days. Days never written are skipped.

    Raises:
        NotValidatedError: a partition was not judged, was changed since, or did not pass.
    """
    written: list[date | None] = [None]
    if days is not None:
        wanted = set(days)
        written = [ds for ds in lake.days(table) if ds in wanted]
    refused = {ds: reason for ds in written if (reason := _refusal(lake, table, ds)) is not None}
    if refused:
        named = [f"{lake.folder(table, ds).relative_to(lake.root)} {why}" for ds, why in refused.items()]
        more = f" (and {len(named) - SHOWN_PARTITIONS} more)" if len(named) > SHOWN_PARTITIONS else ""
        stopped = any(why.startswith(STOPPED) for why in refused.values())
        way_out = "Mend what did not pass, then run" if stopped else "First run"
        raise NotValidatedError(
            f"{'; '.join(named[:SHOWN_PARTITIONS])}{more}. {way_out} `{_command(table, list(refused))}`"
        )


def _refusal(lake: Lake, table: str, ds: date | None) -> str | None:
    """Why a partition may not be read yet, or None when it may."""
    manifest = lake.manifest(table, ds)
    verdict = find_verdict(lake, table, ds)
    if verdict is None:
        return "has not been validated"
    if verdict.content != manifest.content:
        return "has changed since it was validated"
    if not verdict.passed:
        return ": ".join([STOPPED, *(failure.message for failure in verdict.failures[:1])])
    return None


def _command(table: str, refused: list[date | None]) -> str:
    """The command that judges these partitions."""
    gate = {"features": "features", "training_sets": "training"}.get(table.split("/", 1)[0], "events")
    days = [ds for ds in refused if ds is not None]
    if not days:
        return f"gatehouse validate {gate}"
    if len(days) == 1 or gate == "training":
        return f"gatehouse validate {gate} --ds {days[-1]}"
    return f"gatehouse validate {gate} --start {days[0]} --end {days[-1]}"
