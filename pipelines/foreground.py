"""Run a program that serves until it is told to stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from rich.console import Console


def run_until_interrupted(main: Callable[[], int]) -> NoReturn:
    """Run `main` and exit with its status; SIGINT and SIGTERM leave it through its context managers.

    Both are set, for a shell starts what it runs in the background with SIGINT ignored.
    """
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        Console().print("stopped")
        sys.exit(0)


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt
