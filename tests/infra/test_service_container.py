"""What the service's container does, done on the host: entrypoint, command, health check, scrape."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import yaml

from infra.compose.make_secrets import contents
from tests.features.serving.running import wait_until
from tests.homes import TINY
from tests.infra.tools import INFRA

SERVICE = yaml.safe_load((INFRA / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"][
    "service"
]
BIN = Path(sys.executable).parent


@pytest.mark.slow
def test_the_service_gets_healthy_and_lets_prometheus_in(home: Callable[..., Path], tmp_path: Path) -> None:
    made = contents()
    (tmp_path / "tokens").write_text(made["service_tokens"])
    (tmp_path / "url").write_text("redis://127.0.0.1:1/0")  # nobody there: alive all the same, and not ready
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])

    def here(words: list[str]) -> list[str]:
        plain = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word).replace("6566", port) for word in words]
        return [word.replace("/opt/gatehouse/", f"{INFRA.parent}/") for word in plain]

    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(INFRA.parent),
        "FEAST_FS_YAML_FILE_PATH": str(INFRA / "compose" / "feature_store.yaml"),
        "GATEHOUSE_HOME": str(home("simulated", datasets={"simulated": TINY})),
        "GATEHOUSE_REDIS_URL_FILE": str(tmp_path / "url"),
        "GATEHOUSE_TOKENS": str(tmp_path / "tokens"),
    }
    check = here(SERVICE["healthcheck"]["test"][1:])
    assert subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 1
    command = [str(INFRA / "images" / "entrypoint"), *here(SERVICE["command"])]
    command[command.index("0.0.0.0")] = "127.0.0.1"  # noqa: S104 -- it is what is replaced
    with subprocess.Popen(command, env=environment, start_new_session=True) as served:
        try:
            wait_until(
                lambda: not subprocess.run(check, env=environment, stderr=-3, check=False).returncode, 120
            )
            url = f"http://127.0.0.1:{port}"
            token = {"Authorization": f"Bearer {made['prometheus_token']}"}
            assert requests.get(f"{url}/metrics", timeout=10).status_code == 401
            assert "gatehouse_store_up 0" in requests.get(f"{url}/metrics", headers=token, timeout=10).text
            asked = {"user": "1", "scenario": "s", "items": ["1"], "service": "ranker_v1"}
            refused = requests.post(f"{url}/v1/lookup", json=asked, headers=token, timeout=10)
            assert refused.status_code == 403
            assert requests.get(f"{url}/readyz", timeout=10).status_code == 503
        finally:
            os.killpg(served.pid, signal.SIGTERM)
    assert served.returncode == 0
