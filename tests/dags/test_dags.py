from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from pipelines.settings import CHECKOUT
from pipelines.stages import STAGES

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    from dags.consistency import dag as consistency
    from dags.daily_features import dag as features
    from dags.daily_retrain import dag as retrain

    return {dag.dag_id: dag for dag in (features, retrain, consistency)}


@pytest.fixture(scope="module")
def tasks(dags: dict[str, Any]) -> dict[str, Any]:
    """The tasks of the road."""
    road = (dags["daily_features"], dags["daily_retrain"])
    return {task.task_id: task for dag in road for task in dag.tasks if task.task_id != "day"}


def test_dags_have_a_task_for_every_stage_and_no_other(tasks: dict[str, Any]) -> None:
    assert sorted(tasks) == sorted(stage.name for stage in STAGES)


def test_dags_order_tasks_like_the_table_and_across_dags_by_the_asset(dags: dict[str, Any]) -> None:
    features, retrain = dags["daily_features"], dags["daily_retrain"]
    for stage in STAGES:
        dag = features if features.has_task(stage.name) else retrain
        within = {need for need in stage.needs if dag.has_task(need)}
        assert dag.get_task(stage.name).upstream_task_ids - {"day"} == within
        # What is not in the same DAG has run before its asset was updated.
        assert all(dag is retrain and features.has_task(need) for need in set(stage.needs) - within)


def test_retraining_starts_when_the_last_task_of_the_features_updated_the_asset(dags: dict[str, Any]) -> None:
    (last,) = dags["daily_features"].leaves
    assert [outlet.name for outlet in last.outlets] == ["gatehouse_features"]
    assert [task.task_id for task in dags["daily_features"].tasks if task.outlets] == [last.task_id]
    (condition,) = dags["daily_retrain"].timetable.asset_condition.objects
    assert condition == last.outlets[0]


def test_gates_are_never_retried_and_everything_else_backs_off(tasks: dict[str, Any]) -> None:
    for stage in STAGES:
        task = tasks[stage.name]
        assert (task.retries == 0) == stage.gate, stage.name
        assert task.retry_exponential_backoff == 2.0


def test_gpu_stages_wait_in_the_gpu_queue_and_pool(tasks: dict[str, Any]) -> None:
    for stage in STAGES:
        expected = ("gpu", "gpu") if stage.gpu else ("default", "default_pool")
        assert (tasks[stage.name].queue, tasks[stage.name].pool) == expected


def test_training_is_mapped_over_the_models_of_params(tasks: dict[str, Any]) -> None:
    models = yaml.safe_load((CHECKOUT / "params.yaml").read_text())["train"]["models"]
    assert tasks["train"].expand_input.value == {"model": list(models)}


def test_every_task_has_an_owner_and_a_time_limit_and_every_dag_says_what_it_does(
    dags: dict[str, Any], tasks: dict[str, Any]
) -> None:
    every_task = [*tasks.values(), *dags["consistency"].tasks]
    assert all(task.owner == "ranking" and task.execution_timeout for task in every_task)
    for dag in dags.values():
        assert dag.doc_md
        assert "gatehouse" in dag.tags
        assert not dag.catchup
        assert dag.max_active_runs == 1


def test_daily_runs_cover_a_whole_utc_day(dags: dict[str, Any]) -> None:
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable

    timetable = coerce_to_core_timetable(dags["daily_features"].timetable)
    interval = timetable.infer_manual_data_interval(run_after=pendulum.datetime(2026, 1, 3, 0, 5))
    assert (interval.start, interval.end) == (pendulum.datetime(2026, 1, 2), pendulum.datetime(2026, 1, 3))


def test_served_answers_are_compared_once_their_utc_day_is_over(dags: dict[str, Any]) -> None:
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable

    (task,) = dags["consistency"].tasks
    assert task.command == ("consistency",)
    timetable = coerce_to_core_timetable(dags["consistency"].timetable)
    interval = timetable.infer_manual_data_interval(run_after=pendulum.datetime(2026, 1, 3, 0, 31))
    days = {}
    for ds in (None, "2025-12-24"):
        context = {"params": SimpleNamespace(ds=ds), "data_interval_start": interval.start}
        days[ds] = dags["consistency"].get_template_env().from_string(task.ds).render(context)
    assert days == {None: "2026-01-02", "2025-12-24": "2025-12-24"}


def test_parsing_is_quick_and_imports_nothing_heavy() -> None:
    script = """
import json, sys, time
import airflow.sdk
begun = time.perf_counter()
import dags.consistency, dags.daily_features, dags.daily_retrain
seconds = time.perf_counter() - begun
print(json.dumps({"seconds": seconds, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    parsed = json.loads(done.stdout.splitlines()[-1])
    heavy = {"pyspark", "feast", "torch", "great_expectations", "pandas", "numpy", "dvc", "gto"}
    assert heavy & set(parsed["modules"]) == set()
    assert parsed["seconds"] < 1.0


def _choose_day(ds: str | None, carried: list[str]) -> str:
    """What the task `day` returns for a run with the parameter `ds` and events that carry days."""
    from dags.daily_retrain import day
    from dags.road import FEATURES

    events = {FEATURES: [SimpleNamespace(extra={"ds": text}) for text in carried]}
    chosen: str = day.function(params={"ds": ds}, triggering_asset_events=events)
    return chosen


def test_retraining_takes_the_newest_day_when_several_events_started_it() -> None:
    assert _choose_day(None, ["2026-01-02", "2026-01-03", "2026-01-01"]) == "2026-01-03"


def test_retraining_takes_the_parameter_when_one_is_given() -> None:
    assert _choose_day("2026-01-01", ["2026-01-03"]) == "2026-01-01"


@pytest.mark.parametrize(("ds", "carried"), [(None, []), ("today; rm -rf /", []), (None, ["--help"])])
def test_retraining_fails_for_good_when_there_is_no_valid_day(ds: str | None, carried: list[str]) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException):
        _choose_day(ds, carried)
