from __future__ import annotations

import base64
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipelines.lineage.recorded import Record
from pipelines.observing.console import stage
from pipelines.settings import Settings
from tests.pipelines.lineage.conftest import events_of
from tests.pipelines.observed_road import DAYS, DS


@pytest.mark.parametrize(
    ("environment", "login", "authorization"),
    [
        ({"OPENLINEAGE_API_KEY": "secret"}, "", "Bearer secret"),
        ({}, "user:pass%40word@", f"Basic {base64.b64encode(b'user:pass@word').decode()}"),
    ],
    ids=["key", "password"],
)
def test_an_endpoint_gets_every_event_with_the_key_or_password_that_is_given(
    settings: Settings, monkeypatch, environment: dict[str, str], login: str, authorization: str
) -> None:
    got: list[tuple[str, str | None, dict[str, object]]] = []

    class Marquez(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.path, self.headers["Authorization"], body))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with HTTPServer(("127.0.0.1", 0), Marquez) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with stage(_with(settings, f"http://{login}127.0.0.1:{server.server_port}"), "ingest", DAYS):
            pass
        server.shutdown()
    assert {(path, key) for path, key, _ in got} == {("/api/v1/lineage", authorization)}
    sent = sorted((event for _, _, event in got), key=lambda event: str(event["eventTime"]))
    assert sent == events_of(settings)[-2:]


@pytest.mark.parametrize("answers", [False, True], ids=["refuses", "never answers"])
def test_an_endpoint_that_is_not_there_neither_fails_nor_delays_the_stage(
    settings: Settings, answers: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not answers:
            silent.close()
        begun = time.monotonic()
        with stage(_with(settings, f"http://127.0.0.1:{port}"), "ingest", DAYS):
            pass
        assert time.monotonic() - begun < 2.5
    assert [own["eventType"] for own in events_of(settings)[-2:]] == ["START", "COMPLETE"]


def test_nothing_is_kept_when_lineage_is_off(settings: Settings) -> None:
    before = events_of(settings)
    with stage(_with(settings, "off"), "ingest", DAYS):
        pass
    assert events_of(settings) == before


def test_events_go_to_the_folder_that_is_named(settings: Settings) -> None:
    with stage(_with(settings, "elsewhere"), "ingest", DAYS):
        pass
    assert len((settings.home / "elsewhere" / f"ds={DS}.jsonl").read_text().splitlines()) == 2


def test_a_line_that_a_kill_cut_short_spoils_no_other(settings: Settings) -> None:
    path = settings.runs / "lineage" / f"ds={DS}.jsonl"
    runs = len(Record.read(path.parent).runs)
    with path.open("a") as stream:
        stream.write('{"eventType": "COMPL')
    with stage(settings, "ingest", DAYS):
        pass
    assert len(Record.read(path.parent).runs) == runs + 1


def test_a_stage_goes_on_when_events_cannot_be_written(settings: Settings) -> None:
    (settings.home / "file").write_text("in the way")
    with stage(_with(settings, "file"), "ingest", DAYS) as facts:
        facts["rows"] = 1
    assert json.loads((settings.runs / "ingest.json").read_text())["rows"] == 1


def _with(settings: Settings, lineage: str) -> Settings:
    return Settings(home=settings.home, lineage=lineage)
