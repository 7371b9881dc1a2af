"""`gatehouse serve` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.features.serving.running import wait_until

GATEHOUSE = Path(sys.executable).with_name("gatehouse")
_START = 300.0
"""Seconds; a worker imports Feast and torch, and other tests may keep the cores busy."""
_LISTENS = re.compile(r"running on (http://[\d.]+:(\d+))")


@contextmanager
def command(home: Path, *arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL and the process of `gatehouse serve`, ready."""
    log = home / f"serve-{time.monotonic_ns()}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [GATEHOUSE, "serve", "--port", "0", *arguments],
            env={**os.environ, "GATEHOUSE_HOME": str(home), **environment},
            stdout=stream,
            stderr=stream,
            text=True,
        )
    try:
        wait_until(lambda: _LISTENS.search(log.read_text()) or process.poll() is not None, _START)
        listens = _LISTENS.search(log.read_text())
        assert listens, log.read_text()
        url = listens[1]
        wait_until(lambda: ready(url) or process.poll() is not None, _START)
        yield url, process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=60).ok
    except requests.ConnectionError:
        return False  # the address is taken before the first worker listens
