"""The one operator: run a command of `gatehouse` as a child process, for a day or for none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags.lifetimes import end_with_parent, ending_with_this_process
from pipelines.errors import GateError


class StageOperator(BaseOperator):  # type: ignore[misc]  # Airflow's base is untyped here
    """Run `gatehouse COMMAND [ARGUMENTS] [MODEL] [--ds DS | --start SINCE --end DS]`, logging what it prints.

    The child takes its settings from the environment (GATEHOUSE_*), like the command in a shell; no
    shell stands between. A gate that does not let data through fails the task for good; anything else
    is retried. Every event of the task's outlets is of the partition DS and carries {"ds": DS}.

    Args:
        command: arguments of `gatehouse`.
        ds: the UTC day, ISO text (templated); None for a command without a day.
        since: first of several days that end on `ds` (templated); empty for one day.
        model: argument of a mapped stage (templated).
        arguments: more arguments, each one passed as it is (templated).
        answers: whether the last line that the command prints is JSON: it becomes the task's result.
        told: what events carry besides the day (templated).
    """

    template_fields: Sequence[str] = ("ds", "since", "model", "arguments", "told")
    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        command: Sequence[str],
        ds: str | None = None,
        since: str | None = None,
        model: str | None = None,
        arguments: Sequence[str] = (),
        answers: bool = False,
        told: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.ds = ds
        self.since = since
        self.model = model
        self.arguments = arguments
        self.answers = answers
        self.told = told
        self._child: subprocess.Popen[str] | None = None

    def pre_execute(self, context: Context) -> None:
        """Tie this task's process to the worker's; called where a task has a process of its own."""
        end_with_parent()

    def execute(self, context: Context) -> Any:
        last = self._run(
            [*self.command, *self.arguments, *([self.model] if self.model else []), *self._days()],
            whence(context),
        )
        for outlet in self.outlets:
            events = context["outlet_events"][outlet]
            events.extra = {"ds": self.ds, **(self.told or {})}
            events.add_partitions(self.ds)
        return json.loads(last) if self.answers else None

    def _days(self) -> list[str]:
        if self.ds is None:
            return []
        ds = checked_day(self.ds)
        if not self.since:
            return ["--ds", ds]
        since = checked_day(self.since)
        if since > ds:
            raise AirflowFailException(f"since {since} is after ds {ds}; give the earlier day as since")
        return ["--start", since, "--end", ds]

    def _run(self, arguments: Sequence[str], whence: Mapping[str, str]) -> str:
        """Run `gatehouse` and return the last line it printed."""
        shown = f"gatehouse {' '.join(arguments)}"
        self.log.info("%s", shown)
        gatehouse = Path(sys.executable).with_name("gatehouse")
        last = ""
        with subprocess.Popen(
            [gatehouse, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            env={**os.environ, **whence, "GATEHOUSE_HOME": str(home())},
            preexec_fn=ending_with_this_process(),
        ) as self._child:  # fmt: skip
            for line in self._child.stdout or ():
                last = line.rstrip()
                self.log.info("%s", last)
        code = self._child.returncode
        if code == GateError.exit_code:
            raise AirflowFailException(f"`{shown}`: a gate is shut; see docs/runbook.md, A gate fails")
        if code != 0:
            raise AirflowException(f"`{shown}` ended with status {code}: {last}")
        return last

    def on_kill(self) -> None:
        """End the child with everything it started; a stage may be killed at any time."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)


def home() -> Path:
    """The folder with params.yaml: GATEHOUSE_HOME, else this checkout, wherever the worker was started."""
    return Path(os.environ.get("GATEHOUSE_HOME", Path(__file__).resolve().parents[1]))


def whence(context: Context) -> dict[str, str]:
    """What tells a stage, in its environment, which run and task of Airflow's it belongs to."""
    if "ti" not in context:
        return {}
    from airflow.providers.openlineage.plugins.macros import lineage_parent_id, lineage_root_parent_id

    return {
        "GATEHOUSE_RUN": str(context["run_id"]),
        "OPENLINEAGE_PARENT_ID": lineage_parent_id(context["ti"]),
        "OPENLINEAGE_ROOT_PARENT_ID": lineage_root_parent_id(context["ti"]),
    }


def checked_day(text: str) -> str:
    """`text` if it is a day in ISO form; anything else fails the task for good."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise AirflowFailException(f"{text!r} is not a day; give ds as 2022-05-01") from None
