"""Take files and folders away such that a kill leaves them as they were, or out of everybody's sight."""

from __future__ import annotations

import shutil
from pathlib import Path

GONE = ".gone-"


def remove_folder(folder: Path) -> None:
    """Rename a folder out of sight and remove it, with what an earlier kill left of one beside it."""
    gone = folder.with_name(f"{GONE}{folder.name}")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def remove_leftovers(root: Path) -> None:
    """Remove what killed runs of `remove_folder` left below `root`."""
    for gone in root.glob(f"**/{GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)


def remove_file(path: Path) -> None:
    """Remove a file that may be gone already, and folders that it leaves empty, up to three."""
    path.unlink(missing_ok=True)
    for folder in list(path.parents)[:3]:
        try:
            folder.rmdir()
        except OSError:
            return


def bytes_below(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
