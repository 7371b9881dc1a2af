"""Validation: what the gates between the stages checked, and what they stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from pipelines.reporting.blocks import Block, Cell, Fold, Group, Link, Note, Section, Table, rows_of
from pipelines.reporting.files import find_json
from pipelines.reporting.words import count, plural
from pipelines.settings import Settings

GATES = ("events", "features", "training")
SHOWN_FAILURES = 50


def validation(settings: Settings, ds: date) -> Section:
    """The last run of each gate."""
    found = {gate: find_json(settings.runs / "gates" / f"{gate}.json") for gate in GATES}
    ran = {gate: summary for gate, summary in found.items() if summary is not None}
    blocks: list[Block] = []
    if ran:
        blocks.append(_table(ran))
        blocks.extend(_failures(ran))
    blocks.extend(
        Note(f"The {gate} gate has not run yet; `gatehouse validate {gate}` runs it.")
        for gate in GATES
        if gate not in ran
    )
    if (settings.reports / "data_docs" / "index.html").exists():
        blocks.append(Link("Every expectation and what was observed: Data Docs", "data_docs/index.html"))
    return Section("validation", "Gates between the stages", tuple(blocks))


def _table(ran: dict[str, dict[str, Any]]) -> Table:
    groups = tuple(
        Group(
            f"{gate} gate, {summary['days']}",
            tuple(
                (
                    Cell(table["table"]),
                    Cell("passed" if table["passed"] else "stopped"),
                    Cell(count(table["partitions"])),
                    Cell(count(table["checks"])),
                    Cell(count(len(table["failures"])), heat=1.0 if table["failures"] else 0.0),
                )
                for table in summary["tables"]
            ),
        )
        for gate, summary in ran.items()
    )
    return Table(
        head=("table", "verdict", "partitions", "checks", "failed"),
        groups=groups,
        caption="The last run of each gate. No later stage reads a partition that was stopped.",
        text_columns=2,
    )


def _failures(ran: dict[str, dict[str, Any]]) -> Iterator[Block]:
    failures = [
        (table["table"], failure["ds"] or "", failure["column"], failure)
        for summary in ran.values()
        for table in summary["tables"]
        for failure in table["failures"]
    ]
    if not failures:
        checks = sum(table["checks"] for summary in ran.values() for table in summary["tables"])
        yield Note(f"All {plural(checks, 'check')} passed.")
        return
    rows = [
        (table, ds, column, failure["expectation"], failure["observed"], count(failure["rows"]))
        for table, ds, column, failure in failures[:SHOWN_FAILURES]
    ]
    more = len(failures) - len(rows)
    yield Table(
        head=("table", "day", "column", "expected", "observed", "rows"),
        groups=rows_of(*rows),
        caption="What was not met."
        + (f" {plural(more, 'further failure')} are in Data Docs." if more else ""),
        text_columns=5,
    )
    examples = [
        (table, column, "; ".join(failure["examples"]))
        for table, _, column, failure in failures
        if failure["examples"]
    ]
    if examples:
        table = Table(
            ("table", "column", "rows at fault"), rows_of(*examples[:SHOWN_FAILURES]), "", text_columns=3
        )
        yield Fold("Examples of rows at fault", (table,))
