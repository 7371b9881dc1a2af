"""`gatehouse serve` and `gatehouse token`, as processes of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from pipelines.days import Days
from pipelines.errors import SettingsError
from pipelines.materialize import materialize
from pipelines.serve import serve
from pipelines.settings import Settings
from tests.features.hand_made_lake import settings_of, write_lake
from tests.features.serving.running import wait_until
from tests.pipelines.service_process import GATEHOUSE, command

pytestmark = pytest.mark.slow

DAYS = Days(start=date(2022, 5, 6), end=date(2022, 5, 8))
LOOKUP = {"service": "ranker_v1", "scenario": "scenario-1", "user": "user-0", "items": ["item-0"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = settings_of(tmp_path_factory.mktemp("serve") / "home", "kuairand-pure")
    write_lake(settings.lake, settings.catalog, DAYS, ids=3)
    materialize(settings, DAYS.end)
    return settings.home


def test_request_that_is_being_answered_is_finished_when_the_service_is_stopped(home: Path) -> None:
    body = b'{"service": "ranker_v1", "scenario": "s", "user": "user-0", "items": ["item-0"]}'
    head = (
        b"POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    with command(home) as (url, process):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(head + body[:20])
            requests.get(f"{url}/healthz", timeout=30)  # by now the service has read what came before
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: refused(port))
            assert process.poll() is None, "it waits for the request"
            connection.sendall(body[20:])
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        assert process.wait(30) == 0


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionError:
        return True
    return False


def test_workers_count_together_and_all_stop(home: Path, tmp_path: Path) -> None:
    environment = {"GATEHOUSE_TOKENS": str(tmp_path / "tokens")}
    token = run(home, "token", "web", "--service", "ranker_v1", **environment).stdout.strip()
    bearer = {"Authorization": f"Bearer {token}"}
    with command(home, "--workers", "2", **environment) as (url, process):
        assert requests.post(f"{url}/v1/lookup", json=LOOKUP, timeout=30).status_code == 401
        seen: set[int] = set()

        def both_have_answered() -> bool:
            # A connection of its own each time, for a connection stays with its worker.
            response = requests.post(f"{url}/v1/lookup", json=LOOKUP, headers=bearer, timeout=30)
            assert response.status_code == 200
            seen.add(len(seen) + 1)
            return len(list(files(process.pid, "histogram"))) == 2

        wait_until(both_have_answered, 60)
        text = requests.get(f"{url}/metrics", headers=bearer, timeout=30).text
        counted = {
            (sample.name, sample.labels.get("endpoint"), sample.labels.get("status")): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert counted["gatehouse_request_seconds_count", "/v1/lookup", "200"] == len(seen)
        assert counted["gatehouse_store_up", None, None] == 1
        folder = next(files(process.pid, "histogram")).parent
        process.terminate()
        assert process.wait(60) == 0
    assert not folder.exists(), "the counts are removed with the service"


def files(process: int, kind: str) -> Iterator[Path]:
    """Where the workers that `process` started keep their counts."""
    environment = next(
        Path(f"/proc/{child}/environ").read_bytes()
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        if b"PROMETHEUS_MULTIPROC_DIR" in Path(f"/proc/{child}/environ").read_bytes()
    )
    folder = re.search(rb"PROMETHEUS_MULTIPROC_DIR=([^\0]+)", environment)
    assert folder
    yield from Path(os.fsdecode(folder[1])).glob(f"{kind}_*.db")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_service_without_tokens_refuses_to_be_reached_from_other_machines(home: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="set GATEHOUSE_TOKENS"):
        serve(Settings(home=home), host=host, port=0, workers=1, wall_clock=False)


def test_token_is_printed_once_and_its_file_is_the_owners(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    made = run(home, "token", "web", "--service", "ranker_v1", "--rank", GATEHOUSE_TOKENS=str(path))
    token = made.stdout.strip()
    assert len(token) == 43
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    refused = run(home, "token", "other", "--service", "unheard_of", GATEHOUSE_TOKENS=str(path))
    assert refused.returncode == 1
    assert "has no feature service 'unheard_of'" in refused.stderr
    assert "other" not in path.read_text()


def test_token_says_what_to_set_when_no_file_is_named(home: Path) -> None:
    refused = run(home, "token", "web", "--service", "ranker_v1")
    assert refused.returncode == 1
    assert "set GATEHOUSE_TOKENS" in refused.stderr


def run(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`gatehouse ARGUMENTS`, ended."""
    own = {**os.environ, "GATEHOUSE_HOME": str(home), **environment}
    return subprocess.run([GATEHOUSE, *arguments], env=own, capture_output=True, text=True, check=False)
