"""What the on-call engineer is told, and that telling never makes it worse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

pytestmark = pytest.mark.airflow

FAILED = {
    "task_instance": SimpleNamespace(
        dag_id="daily_retrain", task_id="train", run_id="manual__1", map_index=2, try_number=4
    ),
    "task": SimpleNamespace(ds="2026-01-06"),
    "exception": ValueError("the loss is NaN"),
}


class _Hook(HTTPServer):
    """A chat's hook that keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.sent: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/secret"


class _Answer(BaseHTTPRequestHandler):
    server: _Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.sent.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[_Hook]:
    with _Hook() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_failed_task_is_one_log_line_that_leads_to_the_runbook(monkeypatch: pytest.MonkeyPatch) -> None:
    from dags.alerts import task_failed

    monkeypatch.delenv("GATEHOUSE_ALERT_URL", raising=False)
    with capture_logs() as lines:
        task_failed(FAILED)
    assert lines == [
        {
            "event": "task failed", "log_level": "error", "dag": "daily_retrain", "task": "train[2]",
            "run": "manual__1", "ds": "2026-01-06", "tries": 4, "error": "the loss is NaN",
            "runbook": "docs/runbook.md#train",
        }
    ]  # fmt: skip


def test_failed_task_is_posted_as_text(hook: _Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    from dags.alerts import task_failed

    monkeypatch.setenv("GATEHOUSE_ALERT_URL", hook.url)
    monkeypatch.setenv("GATEHOUSE_RUNBOOK_URL", "https://wiki.example/runbook")
    task_failed(FAILED)
    text = (
        "task failed: daily_retrain train[2] 2026-01-06\nthe loss is NaN\n"
        "What to do: https://wiki.example/runbook#train"
    )
    assert hook.sent == [("application/json", {"text": text})]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/secret", "file:///secret", "secret", "http://[secret", "{hook}/broken"]
)
def test_alert_that_cannot_be_delivered_is_logged_without_its_secret(
    hook: _Hook, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    from dags.alerts import task_failed

    monkeypatch.setenv("GATEHOUSE_ALERT_URL", url.replace("{hook}", hook.url.removesuffix("/secret")))
    with capture_logs() as lines:
        task_failed(FAILED)
    assert [line["event"] for line in lines] == ["task failed", "alert not delivered"]
    assert "secret" not in str(lines)


def test_missed_deadline_is_told_but_not_of_runs_that_wait_for_each_other() -> None:
    from dags.alerts import deadline_missed

    run = {"dag_id": "daily_features", "dag_run_id": "scheduled__1", "partition_key": "2026-01-06"}
    with capture_logs() as lines:
        deadline_missed({"dag_run": run}, within="6 hours")
        deadline_missed({"dag_run": run | {"dag_run_id": "backfill__1"}}, within="6 hours")
    assert [(line["event"], line["ds"], line["runbook"]) for line in lines] == [
        ("deadline missed", "2026-01-06", "docs/runbook.md#daily_features")
    ]
