"""`gatehouse` commands in child processes, to be killed or starved at an instant of our choice."""

from __future__ import annotations

import json
import mmap
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.settings import CHECKOUT
from tests.chaos.faults import NotInjectedError

STEPS = Path(__file__).with_name("steps.c")
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Steps:
    """What is counted of a command, so that it can be stopped at an exact step.

    Attributes:
        root: changes to files below this folder are steps.
        without: those to paths that contain this text are not.
        sends: what is sent through sockets is a step instead.
    """

    root: Path
    without: str = ""
    sends: bool = False

    def environment(self, counter: Path, at: int, action: str) -> dict[str, str]:
        named = {"CHAOS_ROOT": f"{self.root}/", "CHAOS_COUNT": str(counter), "CHAOS_AT": str(at)}
        named |= {"CHAOS_ACTION": action}
        named |= {"CHAOS_EXCEPT": self.without} if self.without else {}
        return named | ({"CHAOS_SENDS": "1"} if self.sends else {})


class Command:
    """A command that has been started."""

    def __init__(self, nursery: Nursery, pid: int, log: Path) -> None:
        self.pid = pid
        self._nursery = nursery
        self._log = log

    def wait(self, meanwhile: Callable[[], object] = lambda: None) -> int:
        """Its exit code once it has ended, negative for a signal; `meanwhile` is called again and again."""
        deadline = time.monotonic() + _PATIENCE
        while (status := self._nursery.status(self.pid)) is None:
            meanwhile()
            assert time.monotonic() < deadline, f"the command does not end\n{self.said}"
        return status

    def kill(self) -> None:
        """SIGKILL it and what it has started."""
        os.killpg(self.pid, signal.SIGKILL)

    @property
    def said(self) -> str:
        """What it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")


class Nursery:
    """Forks commands from a process that has imported what they need; see tests/chaos/nursery.py."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = folder / "steps.so"
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler for tests/chaos/steps.c, which stops commands at exact steps")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(STEPS), "-ldl"], check=True
        )
        self._statuses: dict[int, int] = {}
        environment = {
            **os.environ,
            "LD_PRELOAD": str(self._library),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")])),
            "COLUMNS": "200",
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            cwd=folder,
        )  # fmt: skip
        self._rest = b""
        assert self._line(_PATIENCE) == "ready"

    def close(self) -> None:
        """End it, and everything that is still running."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def start(self, home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Command:
        """Start `gatehouse ARGUMENTS` in `home`."""
        log = self._folder / f"{uuid.uuid4().hex}.log"
        log.touch()
        own = {"GATEHOUSE_HOME": str(home), **(environment or {})}
        wanted = {"arguments": arguments, "environment": own, "log": str(log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
        self._process.stdin.flush()
        while True:
            line = self._line(_PATIENCE)
            assert line is not None, "the nursery does not answer"
            what, pid, *_ = line.split()
            if what == "started":
                return Command(self, int(pid), log)
            self._note(line)

    def status(self, pid: int) -> int | None:
        """The exit code of a command; None while it runs. Waits a moment for it."""
        if pid not in self._statuses and (line := self._line(0.005)) is not None:
            self._note(line)
        return self._statuses.pop(pid, None)

    def count(
        self, home: Path, *arguments: str, steps: Steps, environment: Mapping[str, str] | None = None
    ) -> int:
        """How many steps a command takes that is left in peace; it must end well."""
        counter = self._counter()
        own = {**(environment or {}), **steps.environment(counter, 0, "count")}
        command = self.start(home, *arguments, environment=own)
        status = command.wait()
        assert status == 0, f"gatehouse {' '.join(arguments)} ended with {status}\n{command.said}"
        return self._counted(counter)

    def start_until(
        self,
        home: Path,
        *arguments: str,
        steps: Steps,
        at: int,
        action: str = "kill",
        environment: Mapping[str, str] | None = None,
    ) -> Command:
        """Start a command that is killed, or gets no more room ("full"), at step `at`."""
        own = {**(environment or {}), **steps.environment(self._counter(), at, action)}
        return self.start(home, *arguments, environment=own)

    def _counter(self) -> Path:
        path = self._folder / f"{uuid.uuid4().hex}.count"
        path.write_bytes(bytes(mmap.ALLOCATIONGRANULARITY))
        return path

    def _counted(self, counter: Path) -> int:
        return int.from_bytes(counter.read_bytes()[:8], sys.byteorder)

    def _note(self, line: str) -> None:
        what, pid, status = line.split()
        assert what == "ended", line
        self._statuses[int(pid)] = int(status)

    def _line(self, seconds: float) -> str | None:
        """The next line that the process writes; None if there is none within `seconds`."""
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            readable, _, _ = select.select([file], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                return None
            more = os.read(file, 65_536)
            assert more, "the nursery has died"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


def killed(command: Command, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait for a command that is to be killed at a step.

    Raises:
        NotInjectedError: it came to its end before that.
    """
    status = command.wait(meanwhile)
    if status == 0:
        raise NotInjectedError
    assert status == -signal.SIGKILL, f"the command ended with {status}\n{command.said}"


def drawn(numbers: random.Random, steps: int) -> int:
    """A step of `steps`, each as likely as any other."""
    return numbers.randint(1, steps)
