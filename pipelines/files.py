"""Small files that appear whole: written aside, flushed to the disk, then renamed into place."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Make `text` the contents of `path`; a reader or a kill finds the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        draft.write_text(text, encoding="utf-8")
        flush(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Have a file's bytes on the disk before anything names it."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
