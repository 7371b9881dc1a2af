"""The service's chart, rendered by Helm and held to Kubernetes' schemas, and values for Airflow's chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dags.road import GPU
from pipelines.cli.results import Clock
from pipelines.settings import CHECKOUT, Settings
from tests.infra.tools import INFRA, run, validate_kubernetes

CHART = INFRA / "helm" / "gatehouse-service"
WITH_PARAMS = ("--set-file", f"params={CHECKOUT / 'params.yaml'}")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run("helm", "lint", "--strict", CHART, *WITH_PARAMS)
    path = tmp_path_factory.mktemp("helm") / "manifests.yaml"
    every = "serviceMonitor.enabled=true,secrets.aws.name=aws,awsEndpointUrl=http://minio:9000"
    path.write_text(run("helm", "template", "ranker", CHART, *WITH_PARAMS, "--set", every))
    return path


@pytest.fixture(scope="module")
def manifests(rendered: Path) -> dict[str, dict[str, Any]]:
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(rendered.read_text())}


def test_manifests_fit_kubernetes_schemas(rendered: Path) -> None:
    validate_kubernetes(rendered)


def test_the_pod_has_no_more_rights_than_it_needs(manifests: dict[str, dict[str, Any]]) -> None:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert manifests["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "Secret" not in manifests


def test_probes_ask_the_endpoints_of_the_service(manifests: dict[str, dict[str, Any]]) -> None:
    (container,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    probes = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    contract = json.loads((CHECKOUT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    assert set(probes.values()) <= contract["paths"].keys()


def test_selectors_find_the_pod(manifests: dict[str, dict[str, Any]]) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert manifests["Service"]["spec"]["selector"].items() <= labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "ranker"


def test_settings_of_the_chart_are_settings_of_gatehouse(manifests: dict[str, dict[str, Any]]) -> None:
    (container,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    names = {entry["name"] for entry in container["env"]} - {"GATEHOUSE_REDIS_URL"}
    ours = {name.removeprefix("GATEHOUSE_").lower() for name in names if name.startswith("GATEHOUSE_")}
    assert ours <= Settings.model_fields.keys()
    assert container["args"][-1] in list(Clock)


def test_params_reach_the_pod_as_they_are(manifests: dict[str, dict[str, Any]]) -> None:
    given = (CHECKOUT / "params.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(manifests["ConfigMap"]["data"]["params.yaml"]) == yaml.safe_load(given)
    store = yaml.safe_load(manifests["ConfigMap"]["data"]["feature_store.yaml"])
    assert store["online_store"]["url"] == "${GATEHOUSE_REDIS_URL}"


def test_values_for_airflow_name_secrets_and_hold_none() -> None:
    values = yaml.safe_load((INFRA / "helm" / "airflow-values.yaml").read_text(encoding="utf-8"))
    for name in ("fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName"):
        assert values[name]
    assert values["data"].keys() == {"metadataSecretName", "resultBackendSecretName", "brokerUrlSecretName"}
    assert not {"fernetKey", "apiSecretKey", "jwtSecret", "webserverSecretKey"} & values.keys()
    assert values["securityContexts"]["pod"]["runAsNonRoot"] is True
    assert values["securityContexts"]["containers"]["capabilities"] == {"drop": ["ALL"]}


def test_values_for_airflow_have_a_worker_for_each_queue_of_the_dags() -> None:
    values = yaml.safe_load((INFRA / "helm" / "airflow-values.yaml").read_text(encoding="utf-8"))
    celery = values["workers"]["celery"]
    assert {celery["queue"], *(workers["queue"] for workers in celery["sets"])} == {"cpu", GPU}
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert f"apache-airflow=={values['airflowVersion']}" in lock
