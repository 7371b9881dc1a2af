"""Names and text as SQL, so that no name can be read as anything else."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """`value` as a SQL string."""
    return "'" + value.replace("'", "''") + "'"


def listed(values: Iterable[str]) -> str:
    """`values`, already SQL, with commas between."""
    return ", ".join(values)
