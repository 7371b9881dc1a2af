"""All kinds of bad data, in the order of docs/bad-data.md."""

from __future__ import annotations

from tests.chaos.bad_data import files, times, values  # each adds its own
from tests.chaos.bad_data.kinds import KINDS, Kind, Refused

__all__ = ["KINDS", "by_outcome", "files", "times", "values"]


def by_outcome() -> dict[str, list[Kind]]:
    """The kinds that are refused by "ingest", stopped at the gate of "events", and "handled"."""
    grouped: dict[str, list[Kind]] = {"ingest": [], "events": [], "handled": []}
    for kind in KINDS:
        grouped[kind.outcome.by if isinstance(kind.outcome, Refused) else "handled"].append(kind)
    return grouped
