"""All kinds of bad data, in the order of docs/bad-data.md."""

from __future__ import annotations

from tests.chaos.bad_data import files, times, values  # each adds its own
from tests.chaos.bad_data.kinds import KINDS

__all__ = ["KINDS", "files", "times", "values"]
