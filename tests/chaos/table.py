"""The table of faults: what was injected, how often, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BEGIN = "<!-- chaos: written by the command below -->"
END = "<!-- end of chaos -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    Attributes:
        fault: its name.
        seed: of the instants.
        promise: what had to hold.
        injected: how often it was injected.
        lost: how often the promise did not hold.
    """

    fault: str
    promise: str
    seed: int
    injected: int
    lost: int

    @property
    def survived(self) -> int:
        return self.injected - self.lost


def read_rows(report: Path) -> list[Row]:
    """The tallies in the folder `report`, by name of the fault."""
    tallies = [json.loads(path.read_text(encoding="utf-8")) for path in report.glob("*.json")]
    rows = [
        Row(
            tally["fault"]["name"],
            tally["fault"]["promise"],
            tally["seed"],
            tally["injected"],
            len(tally["lost"]),
        )
        for tally in tallies
    ]
    return sorted(rows, key=lambda row: row.fault)


def markdown(rows: Sequence[Row]) -> str:
    """The table as docs/reliability.md shows it."""
    lines = ["| fault | seed | injected | survived | lost | what must hold |", "|---|--:|--:|--:|--:|---|"]
    lines += [
        f"| {row.fault} | {row.seed} | {row.injected} | {row.survived} | {row.lost} | {row.promise} |"
        for row in rows
    ]
    total, lost = sum(row.injected for row in rows), sum(row.lost for row in rows)
    lines.append(f"| all | | {total} | {total - lost} | {lost} | |")
    return "\n".join(lines)


def put_into(page: Path, text: str) -> None:
    """Replace what stands between the page's markers."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
