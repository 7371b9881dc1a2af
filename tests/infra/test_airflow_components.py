"""Processes of an Airflow on this machine: how they are started, watched and ended."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from infra.airflow.cluster import cluster_workers
from infra.airflow.components import Component, ComponentError, components

HERE = dict(os.environ)


def test_watching_names_a_component_that_ended_and_its_status(tmp_path: Path) -> None:
    with components(tmp_path) as parts:
        parts.start(Component("steady", ("sleep", "600"), HERE))
        parts.start(Component("broken", ("sh", "-c", "exit 3"), HERE))
        with pytest.raises(ComponentError, match="broken ended with status 3"):
            parts.watch(restarted={"broken"})  # it had only just been started


def test_waiting_ends_when_a_component_has_ended(tmp_path: Path) -> None:
    with components(tmp_path) as parts:
        parts.start(Component("broken", ("false",), HERE))
        with pytest.raises(ComponentError, match="broken ended"):
            parts.wait_until(lambda: False)


def test_components_end_with_everything_they_started(tmp_path: Path) -> None:
    log = tmp_path / "shell.log"
    with components(tmp_path) as parts:
        parts.start(Component("shell", ("sh", "-c", "sleep 600 & echo $!; wait"), HERE))
        parts.wait_until(lambda: log.read_text().endswith("\n"))
        left = psutil.Process(int(log.read_text()))
    assert psutil.wait_procs([left], timeout=5)[1] == []


def test_secrets_reach_a_component_and_are_not_shown(tmp_path: Path) -> None:
    with components(tmp_path) as parts:
        component = Component("cat", ("cat",), {**HERE, "KEY": "in the environment"}, stdin="on the input")
        parts.start(component)
        parts.wait_until(lambda: (tmp_path / "cat.log").read_text() == "on the input")
        assert "in the environment" not in repr(component)
        assert "on the input" not in repr(component)


def test_each_gpu_gets_a_worker_that_sees_it_alone_and_trains_one_model_at_a_time() -> None:
    cpu, *gpus = cluster_workers({}, ["0", "1"])
    assert "CUDA_VISIBLE_DEVICES" not in cpu.environment
    assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in gpus] == ["0", "1"]
    for worker in gpus:
        assert " ".join(map(str, worker.command)).count("--queues gpu --concurrency 1 ") == 1
    assert len({worker.name for worker in (cpu, *gpus)}) == 3


def test_one_gpu_worker_sees_whatever_is_there_when_no_device_is_named() -> None:
    _, gpu = cluster_workers({}, [None])
    assert "CUDA_VISIBLE_DEVICES" not in gpu.environment
