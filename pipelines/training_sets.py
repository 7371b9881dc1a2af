"""Where training sets lie; light to import, for those that read them without joining them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipelines.lake import Lake


def training_set(service: str) -> str:
    """The lake table of a feature service's training sets."""
    return f"training_sets/{service}"


def encoded_folder(lake: Lake, service: str, ds: date) -> Path:
    """Where the encoded arrays of a training set lie."""
    return lake.root / "encoded" / service / f"ds={ds}"
