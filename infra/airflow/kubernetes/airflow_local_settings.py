"""Airflow's cluster policy on Kubernetes: which pod a task gets, by its queue.

The DAGs name queues and know nothing of pods, so that they run on every executor. The default template is
that of the queue `cpu` (settings.env); another queue's is the file of its name beside this one.
https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/cluster-policies.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

TEMPLATES = {"gpu": Path(__file__).with_name("gpu.yaml")}


def task_instance_mutation_hook(task_instance: TaskInstance, dag_run: DagRun | None = None) -> None:
    """Give a task the template of its queue, if the queue has one of its own."""
    if task_instance.queue in TEMPLATES:
        own = task_instance.executor_config or {}
        template = str(TEMPLATES[task_instance.queue])
        task_instance.executor_config = own | {"pod_template_file": template}
