"""Small text files that appear whole."""

from __future__ import annotations

from pathlib import Path

from features import files


def write_whole(path: Path, text: str) -> None:
    """Make `text` the contents of `path`; a reader or a kill finds the old file or the new one."""
    files.write_whole(path, text.encode())
