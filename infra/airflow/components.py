"""Processes on this machine: each leads a group of its own, is watched, and ends with the others."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from dags.lifetimes import ending_with_this_process

HOST = "127.0.0.1"
READY_SECONDS = 180
STOP_SECONDS = 20
BROKEN_SECONDS = 30
RESTARTS = 3
"""One that ends within BROKEN_SECONDS of its start, and does so again this often, would always end again."""
console = Console()


class ComponentError(RuntimeError):
    """A component ended by itself or did not get ready."""


@dataclass(frozen=True, slots=True)
class Component:
    """One process.

    Attributes:
        name: also of its log file.
        command: the program and its arguments; secrets do not belong here, for everybody sees them.
        environment: all of it.
        stdin: what it reads from its standard input.
        user: whom it runs as; None means the user who starts it.
    """

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(repr=False)
    stdin: str = field(default="", repr=False)
    user: str | None = None


@dataclass(slots=True)
class _Running:
    """A component that was started.

    Attributes:
        component: what.
        process: its process.
        since: when it was started, seconds of the monotonic clock.
        hasty: how often in a row it ended within BROKEN_SECONDS before.
    """

    component: Component
    process: subprocess.Popen[str]
    since: float
    hasty: int


class Components:
    """Started components, and a log file for each.

    Args:
        logs: folder of the log files.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: dict[str, _Running] = {}

    def start(self, component: Component) -> None:
        """Start a component in a process group of its own."""
        self._start(component, hasty=0)

    def _start(self, component: Component, hasty: int) -> None:
        identity = {} if component.user is None else {"user": component.user, "extra_groups": []}
        with (self._logs / f"{component.name}.log").open("a") as log:
            process = subprocess.Popen(
                component.command, env=component.environment, stdin=subprocess.PIPE,
                stdout=log, stderr=log, text=True, start_new_session=True,
                preexec_fn=ending_with_this_process(), **identity,
            )  # fmt: skip
        self._started[component.name] = _Running(component, process, time.monotonic(), hasty)
        if process.stdin is not None:
            with suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(component.stdin)

    def ended(self) -> list[str]:
        """Names of those that are no longer there."""
        return [name for name, own in self._started.items() if own.process.poll() is not None]

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return once `ready` says so.

        Raises:
            ComponentError: a component ended meanwhile, or time ran out.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if ended := self.ended():
                raise ComponentError(f"{', '.join(ended)} ended; see {self._logs}")
            if time.monotonic() > deadline:
                raise ComponentError(
                    f"{', '.join(self._started)} were not ready after {READY_SECONDS} s; see {self._logs}"
                )
            time.sleep(0.2)

    def mend(self, restarted: Collection[str] = ()) -> None:
        """Start those that have ended again, if they are named in `restarted`.

        Raises:
            ComponentError: another one ended, or one that has ended too often, each time soon.
        """
        for name in self.ended():
            own = self._started[name]
            hasty = own.hasty + 1 if time.monotonic() - own.since < BROKEN_SECONDS else 0
            if name not in restarted or hasty > RESTARTS:
                raise ComponentError(f"{name} ended with status {own.process.returncode}; see {self._logs}")
            console.print(f"{name} ended with status {own.process.returncode} and is started again")
            self._start(own.component, hasty)

    def stop(self) -> None:
        """Ask every group to end, then end what is left of it."""
        processes = [own.process for own in self._started.values()]
        for process in processes:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            _signal(process, signal.SIGKILL)
            process.wait()


def watch(*groups: Components, restarted: Collection[str] = ()) -> NoReturn:
    """Stay for as long as all components run; those named in `restarted` are started again when they end.

    Raises:
        ComponentError: another one ended, or one that has ended too often, each time soon.
    """
    while True:
        for group in groups:
            group.mend(restarted)
        time.sleep(0.5)


@contextmanager
def components(logs: Path) -> Iterator[Components]:
    """Components that end with the context."""
    logs.mkdir(parents=True, exist_ok=True)
    started = Components(logs)
    try:
        yield started
    finally:
        started.stop()


def free_port(wanted: int = 0) -> int:
    """The wanted port of loopback if nobody listens there, else any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            return free_port()
        return int(probe.getsockname()[1])


def _signal(process: subprocess.Popen[str], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
