"""How wide the tables of commands are where no terminal says it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TABLE = """
from rich.table import Table
from pipelines.observing.console import console
table = Table()
for number in range(12):
    table.add_column(f"pepnet@v{number}")
console.print(table)
"""


@pytest.mark.parametrize(("columns", "whole"), [(None, True), ("60", False)])
def test_a_pipe_gets_names_uncut_unless_it_asks_for_less(columns: str | None, whole: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    if columns is not None:
        environment["COLUMNS"] = columns
    printed = subprocess.run(
        [sys.executable, "-c", TABLE], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert all(f"pepnet@v{number}" in printed for number in range(12)) is whole
