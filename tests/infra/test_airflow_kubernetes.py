"""Pods of tasks on Kubernetes: which template a task gets, and what its pod may do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.settings import CHECKOUT

FOLDER = CHECKOUT / "infra" / "airflow" / "kubernetes"
VERSION = "0.1.0"
# Make a task instance of every task, as the scheduler does, and print the template that each one gets.
PROGRAM = """
import json
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.serialized_objects import DagSerialization
from dags.daily_retrain import dag
made = [TaskInstance(task, None) for task in DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks]
print(json.dumps({ti.task_id: (ti.executor_config or {}).get("pod_template_file") for ti in made}))
"""


def _pod(queue: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / f"{queue}.yaml").read_text(encoding="utf-8")))


def _settings() -> dict[str, str]:
    lines = (FOLDER / "settings.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.airflow
@pytest.mark.slow
def test_only_training_gets_the_pod_with_a_gpu(tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(FOLDER))),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE": _settings()["AIRFLOW__OPERATORS__DEFAULT_QUEUE"],
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    templates = json.loads(done.stdout.splitlines()[-1])
    assert {task for task, template in templates.items() if template} == {"train"}
    assert Path(templates["train"]).samefile(FOLDER / "gpu.yaml")


def test_default_template_is_that_of_the_default_queue() -> None:
    settings = _settings()
    queue = settings["AIRFLOW__OPERATORS__DEFAULT_QUEUE"]
    template = Path(settings["AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE"])
    assert (FOLDER / template.name).is_file()
    assert template.stem == queue == _pod(queue)["metadata"]["labels"]["gatehouse/queue"]
    assert str(template.parent) == settings["PYTHONPATH"]


@pytest.mark.parametrize("queue", ["cpu", "gpu"])
def test_pod_runs_its_image_without_rights_and_writes_to_volumes_only(queue: str) -> None:
    spec = _pod(queue)["spec"]
    [container] = spec["containers"]
    assert container["name"] == "base"  # the one that Airflow gives its arguments to
    assert container["image"] == f"gatehouse-{queue}:{VERSION}"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"home": "/var/lib/gatehouse", "tmp": "/tmp"}  # noqa: S108 -- of the pod
    assert {volume["name"] for volume in spec["volumes"]} == set(mounted)


def test_gpu_pod_asks_for_one_gpu_where_there_are_gpus_and_the_cpu_pod_for_none() -> None:
    cpu, gpu = _pod("cpu")["spec"], _pod("gpu")["spec"]
    assert "nvidia.com/gpu" not in json.dumps(cpu)
    resources = gpu["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "1"
    assert gpu["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert gpu["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
