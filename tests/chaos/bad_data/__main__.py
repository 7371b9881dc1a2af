"""Print docs/bad-data.md, which tells every kind of bad data and what becomes of it.

`python -m tests.chaos.bad_data > docs/bad-data.md`.
"""

from __future__ import annotations

import sys

from tests.chaos.bad_data.kinds import Handled, Kind
from tests.chaos.bad_data.table import KINDS, by_outcome

INTRODUCTION = """# Bad data

<!-- written by `python -m tests.chaos.bad_data > docs/bad-data.md`; a test holds it to the list -->

A log is written by somebody else's code, and one day it will be wrong. {total} ways in which it can be are
listed here. Each is a function in [tests/chaos/bad_data](../tests/chaos/bad_data) that spoils a good day of a
log of one's own (data set `custom`); the day is then ingested, validated and, if it passes, aggregated, on a
road that already serves the days before. Whatever happens, those days keep their bytes and lookups keep
their answers.

    pytest tests/chaos/test_bad_data.py   # each kind once, with rows that SEED= of `make chaos` draws

It may end in three ways, and in no other: there is no traceback, no row of the day that goes without a count,
and no value that nobody wrote.
"""
SECTIONS = {
    "ingest": (
        "Refused",
        """The file cannot be trusted as a whole. `gatehouse ingest` ends with one line that names the file,
what is wrong and the way out, and publishes nothing.""",
        "what the line names",
    ),
    "events": (
        "Stopped at the gate",
        """The day is ingested, row by row, and `gatehouse validate events` refuses it. No later stage reads
it; the message says how many rows, why, and for example which row of which file.""",
        "what the message names",
    ),
    "handled": (
        "Handled",
        """The day passes, and its events are exactly those that the rule says;
[the data contract](data-contract.md#bad-rows-and-odd-ones) states the rules.""",
        "rule",
    ),
}
_SHOWN = {"FILE": "the file", "DS": "the day", "FILE row": "the file and the row"}


def page() -> str:
    parts = [INTRODUCTION.format(total=len(KINDS))]
    for outcome, kinds in by_outcome().items():
        title, words, column = SECTIONS[outcome]
        rows = [f"| {kind.name} | {_told(kind)} |" for kind in kinds]
        parts.append(
            "\n".join(
                [f"## {title}: {len(kinds)} kinds\n\n{words}\n", f"| kind | {column} |", "|---|---|", *rows]
            )
        )
    return "\n".join([parts[0], "\n\n".join(parts[1:])]) + "\n"


def _told(kind: Kind) -> str:
    if not isinstance(kind.outcome, Handled):
        return ", ".join(
            _SHOWN.get(word) or f"`{word.replace('FILE', 'THE-FILE')}`" for word in kind.outcome.says
        )
    counts = {"duplicates": kind.outcome.duplicates, "quarantined": kind.outcome.quarantined}
    told = [f"{number:,} {name}" for name, number in counts.items() if number]
    return "; ".join([kind.outcome.how, *told])


if __name__ == "__main__":
    sys.stdout.write(page())
