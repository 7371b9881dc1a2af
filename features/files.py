"""Files and folders that appear whole: one process at a time writes them aside, then puts them in place.

Whoever writes holds a lock that dies with the process, so what a killed one has left behind is known to be
nobody's, and the next one that writes the same thing takes it away.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def sole_owner(path: Path, *, wait: bool = True) -> Iterator[BinaryIO]:
    """Own the file `path`, empty and open for writing, until the block ends; then it is gone.

    Raises:
        BlockingIOError: somebody else owns it, and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = _locked(path, wait=wait)
    try:
        stream.truncate(0)
        yield stream
    finally:
        if _is_at(stream, path):  # else it has been renamed, and what lies there now is somebody else's
            path.unlink()
        stream.close()


def write_whole(path: Path, content: bytes) -> None:
    """Make `content` the file `path`; a reader or a kill finds the old file or the new one."""
    draft = path.with_name(f".{path.name}.draft")
    with sole_owner(draft) as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
        draft.replace(path)
    flush(path.parent)


def swap(new: Path, old: Path) -> None:
    """Put the folder `new` where `old` is, and `old` where `new` was; `old` may be missing.

    One step, where the file system can exchange two names. Elsewhere (NFS) there is none at `old` for the
    instant between two renames.
    """
    if not old.exists():
        new.rename(old)
    elif not _exchanged(new, old):
        aside = new.with_name(f"{new.name}.old")
        old.rename(aside)
        new.rename(old)
        aside.rename(new)
    flush(old.parent)


def flush(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk before anything counts on them."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _locked(path: Path, *, wait: bool) -> BinaryIO:
    while True:
        stream = path.open("ab")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            stream.close()
            raise
        if _is_at(stream, path):
            return stream
        stream.close()  # its owner renamed or removed it while we waited


def _is_at(stream: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step (renameat2, Linux); False where that cannot be done."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _RENAME_EXCHANGE) == 0)
