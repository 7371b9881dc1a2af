"""Break it on purpose: `python -m tests.chaos --seed 7 --injections 20`; prints the table of faults."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.settings import CHECKOUT
from tests.chaos.table import Row, markdown, put_into, read_rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="of every instant that is drawn")
    parser.add_argument("--injections", type=int, default=20, help="how often each fault is injected")
    parser.add_argument(
        "--into", type=Path, help="a page to write the table into, for example docs/reliability.md"
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=CHECKOUT / "runs" / "chaos",
        help="keeps each fault's newest tally",
    )
    parser.add_argument("tests", nargs="*", default=["tests/chaos"], help="by default all of tests/chaos")
    asked = parser.parse_args()
    settings = {
        "GATEHOUSE_CHAOS_SEED": str(asked.seed),
        "GATEHOUSE_CHAOS_INJECTIONS": str(asked.injections),
        "GATEHOUSE_CHAOS_REPORT": str(asked.report.resolve()),
    }
    command = [sys.executable, "-m", "pytest", "-q", *asked.tests]
    status = subprocess.run(command, cwd=CHECKOUT, env={**os.environ, **settings}, check=False).returncode
    rows = read_rows(asked.report)
    Console().print(printed(rows))
    if asked.into:
        put_into(asked.into, markdown(rows))
    return status


def printed(rows: list[Row]) -> Table:
    """The table for a terminal."""
    table = Table(title="Faults")
    table.add_column("fault")
    for name in ("injected", "survived", "lost"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.fault, str(row.injected), str(row.survived), str(row.lost), style="red" if row.lost else ""
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
