"""The outcome of a gate's run, for a person at the terminal and for the report page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.days import Days
from pipelines.files import write_whole
from pipelines.verdicts import Verdict

# Which command writes what a gate judges.
WRITERS = {"events": "ingest", "features": "aggregate", "training": "assemble"}
SHOWN_FAILURES = 10


def write_summary(path: Path, gate: str, days: Days, verdicts: Sequence[Verdict]) -> None:
    """Write what the report page shows of a gate's run: per table its checks and what was not met."""
    tables = []
    for name in dict.fromkeys(verdict.table for verdict in verdicts):
        own = [verdict for verdict in verdicts if verdict.table == name]
        tables.append(
            {
                "table": name,
                "partitions": len(own),
                "checks": sum(verdict.checks for verdict in own),
                "passed": all(verdict.passed for verdict in own),
                "failures": [
                    {"ds": verdict.ds, **failure.model_dump(mode="json")}
                    for verdict in own
                    for failure in verdict.failures
                ],
                "drift": _newest_drift(own),
            }
        )
    summary = {
        "gate": gate,
        "days": str(days),
        "passed": all(verdict.passed for verdict in verdicts),
        "tables": tables,
    }
    write_whole(path, json.dumps(summary, indent=2) + "\n")


def _newest_drift(verdicts: Sequence[Verdict]) -> dict[str, Any] | None:
    """The comparison of the newest partition that was compared, else why the newest one was not."""
    found = [(verdict.ds, verdict.drift) for verdict in verdicts if verdict.drift is not None]
    if not found:
        return None
    ds, drift = next((own for own in reversed(found) if own[1].features), found[-1])
    return {"ds": ds, **drift.model_dump(mode="json")}


def message(gate: str, days: Days, verdicts: Sequence[Verdict], summary: Path, docs: Path) -> str:
    """What was stopped and why, where all of it stands, and what to run next."""
    stopped = [verdict for verdict in verdicts if not verdict.passed]
    failures = [
        f"  {verdict.table}{f' ds={verdict.ds}' if verdict.ds else ''}, {failure.message}"
        for verdict in stopped
        for failure in verdict.failures
    ]
    more = [f"  and {len(failures) - SHOWN_FAILURES} more, all of them in {summary}"]
    again = _options(stopped, days)
    lines = [
        f"the {gate} gate stopped {len(stopped)} of {len(verdicts)} partitions:",
        *failures[:SHOWN_FAILURES],
        *(more if len(failures) > SHOWN_FAILURES else []),
        "No later stage reads a stopped partition; those that passed stay in use. Mend the source, then run "
        f"`gatehouse {WRITERS[gate]} {again}` and `gatehouse validate {gate} {again}`; if the data is right, "
        "change its declaration in features/declarations.",
        f"Data Docs: {docs.as_uri()}",
    ]
    return "\n".join(lines)


def _options(stopped: Sequence[Verdict], days: Days) -> str:
    """The command line's options for the days that were stopped; for a table without days, all days."""
    named = sorted(verdict.ds for verdict in stopped if verdict.ds) or [str(days.start), str(days.end)]
    return f"--ds {named[0]}" if named[0] == named[-1] else f"--start {named[0]} --end {named[-1]}"
