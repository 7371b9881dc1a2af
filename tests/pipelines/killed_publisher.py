"""A publisher that does something at a chosen moment: it dies, as by `kill -9`, or waits for others.

    python -m tests.pipelines.killed_publisher DAY HOME after|hold|never COMMAND [PORT]

COMMAND is a command it runs, for example "git push"; the first one counts. It leads a process group of its
own, whose number it leaves in HOME/publisher.group, so that a hook of git can kill it with all it started.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from datetime import date
from pathlib import Path
from typing import Any

from pipelines import children
from pipelines.publish import publish
from pipelines.settings import Settings


def main(ds: date, home: Path, moment: str, command: str, port: int) -> None:
    (home / "publisher.group").write_text(str(os.getpgid(0)))
    real, reached = children._run, False

    def run(words: Any, shown: str, *rest: Any) -> str:
        nonlocal reached
        chosen, reached = shown == command and not reached, reached or shown == command
        if chosen and moment == "hold":
            with socket.create_connection(("127.0.0.1", port)) as gate:
                gate.recv(1)
        printed = real(words, shown, *rest)
        if chosen and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return printed

    children._run = run
    publish(Settings(home=home), ds)


if __name__ == "__main__":
    day, folder, *rest = sys.argv[1:]
    main(date.fromisoformat(day), Path(folder), rest[0], rest[1], int((rest[2:] or ["0"])[0]))
