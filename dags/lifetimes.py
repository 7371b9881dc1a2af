"""Processes that end with the one that started them: a lost worker leaves no stage running behind its back.

Airflow gives a task to another worker once the first one's heartbeats have stopped. A stage that had survived
its worker would then run twice at a time, two trainings on one GPU and one checkpoint.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; elsewhere than on Linux, do nothing."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def ending_with_this_process() -> Callable[[], None]:
    """What a child does before it runs its program (`preexec_fn`), so that it ends with this process."""
    parent = os.getpid()

    def in_child() -> None:
        end_with_parent()
        if os.getppid() != parent:  # it ended before the kernel knew
            os._exit(1)

    return in_child
