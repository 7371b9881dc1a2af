"""The one operator: run a stage of the road as a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags.lifetimes import end_with_parent, ending_with_this_process
from pipelines.errors import GateError


class StageOperator(BaseOperator):  # type: ignore[misc]  # Airflow's base is untyped here
    """Run `gatehouse COMMAND [MODEL] --ds DS`, its output in the task's log.

    The child takes its settings from the environment (GATEHOUSE_*), like the command in a shell. A
    gate that does not let data through fails the task for good; anything else is retried. Every
    event of the task's outlets carries the day, as {"ds": ...}.

    Args:
        command: arguments of `gatehouse`.
        ds: the UTC day, ISO text (templated).
        model: last argument of a mapped stage (templated).
    """

    template_fields: Sequence[str] = ("ds", "model")
    ui_color = "#e8f0e4"

    def __init__(self, *, command: Sequence[str], ds: str, model: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.ds = ds
        self.model = model
        self._child: subprocess.Popen[str] | None = None

    def pre_execute(self, context: Context) -> None:
        """Tie this task's process to the worker's; called where a task has a process of its own."""
        end_with_parent()

    def execute(self, context: Context) -> None:
        ds = checked_day(self.ds)
        arguments = [*self.command, *([self.model] if self.model else []), "--ds", ds]
        self._run(arguments)
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {"ds": ds}

    def _run(self, arguments: Sequence[str]) -> None:
        shown = f"gatehouse {' '.join(arguments)}"
        self.log.info("%s", shown)
        gatehouse = Path(sys.executable).with_name("gatehouse")
        with subprocess.Popen(
            [gatehouse, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            env={**os.environ, "GATEHOUSE_HOME": str(home())}, preexec_fn=ending_with_this_process(),
        ) as self._child:  # fmt: skip
            for line in self._child.stdout or ():
                self.log.info("%s", line.rstrip())
        code = self._child.returncode
        if code == GateError.exit_code:
            raise AirflowFailException(f"`{shown}`: a gate is shut; see docs/runbook.md, A gate fails")
        if code != 0:
            raise AirflowException(f"`{shown}` ended with status {code}")

    def on_kill(self) -> None:
        """End the child with everything it started; a stage may be killed at any time."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)


def home() -> Path:
    """The folder with params.yaml: GATEHOUSE_HOME, else this checkout, wherever the worker was started."""
    return Path(os.environ.get("GATEHOUSE_HOME", Path(__file__).resolve().parents[1]))


def checked_day(text: str) -> str:
    """`text` if it is a day in ISO form; anything else fails the task for good."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise AirflowFailException(f"{text!r} is not a day; give ds as 2022-05-01") from None
