"""Resident memory of this process and of others, as the kernel counts it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil


def peak_mb(pids: Iterable[int] = ()) -> float:
    """The sum of the largest resident sizes so far, of this process and of `pids` with their children."""
    return _sum("VmHWM", pids)


def resident_mb(pids: Iterable[int] = ()) -> float:
    """The resident sizes now."""
    return _sum("VmRSS", pids)


def _sum(field: str, pids: Iterable[int]) -> float:
    return sum(_kilobytes(field, pid) for pid in (os.getpid(), *_families(pids))) / 1024


def _families(pids: Iterable[int]) -> Iterator[int]:
    for pid in pids:
        yield pid
        yield from (child.pid for child in psutil.Process(pid).children(recursive=True))


def _kilobytes(field: str, pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.findall(rf"{field}:\s+(\d+)", status)  # a process that has just ended has none
    return int(found[0]) if found else 0
