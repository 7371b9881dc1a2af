from __future__ import annotations

import copy
import importlib
import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from features.serving.served import Served, write_receipt
from pipelines.settings import CHECKOUT
from pipelines.stages import STAGES

pytestmark = pytest.mark.airflow

NAMES = (
    "backfill", "consistency", "daily_features", "daily_retrain", "housekeeping", "late_logs", "rollback",
)  # fmt: skip


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    return {name: importlib.import_module(f"dags.{name}").dag for name in NAMES}


def test_every_dag_of_the_folder_is_known_to_these_tests() -> None:
    files = (CHECKOUT / "dags").glob("*.py")
    assert sorted(path.stem for path in files if "\nwith DAG(" in path.read_text()) == sorted(NAMES)


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
    assert dags["daily_retrain"].timetable.asset_condition == last.outlets[0]


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


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_an_owner_a_time_limit_and_an_alert_and_every_dag_says_what_it_does(
    dags: dict[str, Any], name: str
) -> None:
    from dags.alerts import task_failed

    dag = dags[name]
    assert dag.tasks
    for task in dag.tasks:
        assert (task.owner, task.email) == ("ranking", None)
        assert task.execution_timeout is not None
        callbacks = task.partial_kwargs["on_failure_callback"] if task.is_mapped else task.on_failure_callback
        assert callbacks in (task_failed, [task_failed])
    assert dag.doc_md
    assert "gatehouse" in dag.tags
    assert not dag.catchup
    assert dag.max_active_runs == 1


@pytest.mark.parametrize("name", NAMES)
def test_runbook_has_a_section_for_every_place_that_alerts_point_at(dags: dict[str, Any], name: str) -> None:
    from dags.alerts import runbook

    text = (CHECKOUT / "docs" / "runbook.md").read_text()
    anchors = {heading.lower() for heading in re.findall(r"^#+ ([a-z_]+)$", text, re.MULTILINE)}
    for task in dags[name].tasks:
        place, _, anchor = runbook(name, task.task_id).partition("#")
        assert place == "docs/runbook.md"
        assert anchor in anchors


def test_daily_run_is_of_the_utc_day_that_has_just_ended(dags: dict[str, Any]) -> None:
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    timetable = coerce_to_core_timetable(dags["daily_features"].timetable)
    start = pendulum.datetime(2026, 1, 3)
    run = timetable.next_dagrun_info_v2(
        last_dagrun_info=None, restriction=TimeRestriction(earliest=start, latest=None, catchup=True)
    )
    assert (run.partition_key, run.run_after) == ("2026-01-02", start)


def _rendered(dag: Any, task: str, **context: Any) -> dict[str, Any]:
    """The templated fields of a task in a run with these parameters."""
    fields = {"ds": None, "since": None, "retrain": True} | context.pop("params", {})
    own = dag.get_task(task)
    environment = dag.get_template_env()
    known = {"params": SimpleNamespace(**fields), **context}
    return {name: own.render_template(getattr(own, name), known, environment) for name in own.template_fields}


def test_features_run_their_partition_or_the_days_of_the_parameters(dags: dict[str, Any]) -> None:
    dag = dags["daily_features"]
    scheduled = _rendered(dag, "ingest", partition_key="2026-01-02")
    assert (scheduled["ds"], scheduled["since"]) == ("2026-01-02", "")
    several = _rendered(dag, "ingest", params={"ds": "2026-01-05", "since": "2026-01-03"}, partition_key=None)
    assert (several["ds"], several["since"]) == ("2026-01-05", "2026-01-03")
    served = _rendered(dag, "materialize", params={"retrain": False}, partition_key="2026-01-02")
    assert (served["arguments"], served["told"]) == (["--forward"], {"retrain": "False"})


def test_runs_are_overdue_hours_after_what_the_last_ones_took(dags: dict[str, Any]) -> None:
    for name, hours in (("daily_features", 6), ("daily_retrain", 24)):
        (alert,) = dags[name].deadline
        assert (alert.reference.reference_name, alert.interval.total_seconds()) == (
            "AverageRuntimeDeadline", hours * 3600,
        )  # fmt: skip
        assert alert.callback.path == "dags.alerts.deadline_missed"


def test_every_stage_may_take_as_long_as_it_needs(tasks: dict[str, Any]) -> None:
    from dags.road import TIMEOUTS

    assert set(TIMEOUTS) <= set(tasks)
    for name, limit in TIMEOUTS.items():
        assert tasks[name].execution_timeout == limit


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
    """All DAG files in a fresh process; the DAG processor has imported airflow.sdk before, once for all."""
    script = f"""
import importlib, json, sys, time
import airflow.sdk
worked = time.process_time()  # of this process alone, however busy the machine is
for name in {NAMES}:
    importlib.import_module("dags." + name)
worked = time.process_time() - worked
modules = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps({{"seconds": worked, "modules": modules}}))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    parsed = json.loads(done.stdout.splitlines()[-1])
    heavy = {"pyspark", "feast", "torch", "great_expectations", "pandas", "numpy", "pyarrow", "dvc", "gto"}
    assert heavy & set(parsed["modules"]) == set()
    assert parsed["seconds"] < 1.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose online store serves 2026-01-03."""
    monkeypatch.setenv("GATEHOUSE_HOME", str(tmp_path))
    (tmp_path / "feast").mkdir()
    write_receipt(tmp_path / "feast", Served(dataset="simulated", ds=date(2026, 1, 3), views={}))
    return tmp_path


def _choose_day(ds: str | None, partition: str | None, *retrain: str) -> str:
    """What the task `day` returns for a run with the parameter `ds`, of a partition, started by events."""
    from dags.daily_retrain import day
    from dags.road import FEATURES

    events = {FEATURES: [SimpleNamespace(extra={"ds": partition, "retrain": told}) for told in retrain]}
    chosen: str = day.function(params={"ds": ds}, triggering_asset_events=events, partition_key=partition)
    return chosen


def test_retraining_takes_the_partition_that_was_updated(home: Path) -> None:
    assert _choose_day(None, "2026-01-03", "True") == "2026-01-03"
    assert _choose_day(None, "2026-01-04", "False", "True") == "2026-01-04"


def test_retraining_passes_over_a_day_behind_the_one_that_is_served(home: Path) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="2026-01-03 is served by now"):
        _choose_day(None, "2026-01-02", "True")
    assert _choose_day(None, "2026-01-02") == "2026-01-02"  # by hand, with a partition
    assert _choose_day("2026-01-01", None) == "2026-01-01"  # by hand, with the parameter


def test_retraining_passes_over_what_is_to_be_trained_on_later(home: Path) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="trained on together"):
        _choose_day(None, "2026-01-03", "False")


@pytest.mark.parametrize(
    ("ds", "partition"), [(None, None), ("today; rm -rf /", None), (None, "--help"), (None, "../2026-01-03")]
)
def test_retraining_fails_for_good_when_there_is_no_valid_day(ds: str | None, partition: str | None) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException):
        _choose_day(ds, partition)


def _started(start: Any, **arguments: Any) -> tuple[str, str, dict[str, Any]]:
    """The run that a task starts: DAG, name, parameters."""
    from airflow.sdk.exceptions import DagRunTriggerException

    with pytest.raises(DagRunTriggerException) as started:
        start.function(**arguments)
    run = started.value
    assert run.skip_when_already_exists
    assert ".." not in run.dag_run_id  # Airflow refuses it
    return run.trigger_dag_id, run.dag_run_id, run.conf


def test_backfill_starts_its_range_in_parts_of_which_the_last_is_trained_on() -> None:
    from dags.backfill import parts, start

    days = {"start": "2026-01-30", "end": "2026-02-03", "days": 2}
    found = parts.function(params=days)
    assert found == [
        {"since": "2026-01-30", "ds": "2026-01-31", "retrain": False},
        {"since": "2026-02-01", "ds": "2026-02-02", "retrain": False},
        {"since": "2026-02-03", "ds": "2026-02-03", "retrain": True},
    ]
    name = "backfill__2026-01-30_2026-01-31__manual__1"
    assert _started(start, part=found[0], run_id="manual__1") == ("daily_features", name, found[0])


@pytest.mark.parametrize(
    "days", [{"start": "2026-02-03", "end": "2026-01-30"}, {"start": "$(reboot)", "end": "2026-01-30"}]
)
def test_backfill_fails_for_good_when_its_range_is_none(days: dict[str, str]) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from dags.backfill import parts

    with pytest.raises(AirflowFailException):
        parts.function(params=days | {"days": 31})


def test_backfill_asks_for_days_and_at_most_a_month_at_a_time(dags: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    for wrong in ({"start": "soon"}, {"end": "2026-02-30"}, {"days": 0}, {"days": 32}):
        form = copy.deepcopy(dags["backfill"].params)
        with pytest.raises(ParamValidationError):
            form.update({"start": "2026-01-01", "end": "2026-01-02", "days": 31} | wrong)


def test_late_days_start_one_run_that_is_named_after_the_rows_that_were_found() -> None:
    from dags.late_logs import parts, start

    assert parts.function(found={"days": [], "since": None, "until": None, "fingerprint": ""}) == []
    found = {"days": ["2026-01-02", "2026-01-04"], "since": "2026-01-02", "until": "2026-01-06"}
    (part,) = parts.function(found=found | {"fingerprint": "ab12"})
    conf = {"since": "2026-01-02", "ds": "2026-01-06"}
    assert _started(start, part=part) == ("daily_features", "late__2026-01-02_2026-01-06__ab12", conf)


def test_forgotten_day_starts_one_training_run_when_none_is_at_work() -> None:
    from dags.housekeeping import parts, start

    def forgotten(retrain: str | None, at_work: int) -> list[str]:
        ti = SimpleNamespace(get_dr_count=lambda dag_id, states: at_work)
        found: list[str] = parts.function(found={"retrain": retrain}, ti=ti)
        return found

    assert forgotten(None, 0) == forgotten("2026-01-06", 1) == []
    (ds,) = forgotten("2026-01-06", 0)
    run = ("daily_retrain", "missed__2026-01-06", {"ds": "2026-01-06"})
    assert _started(start, forgotten=ds) == run


def test_housekeeping_runs_dry_when_asked_to(dags: dict[str, Any]) -> None:
    for dry_run, expected in ((True, ["--dry-run"]), (False, [])):
        fields = _rendered(dags["housekeeping"], "housekeeping", params={"dry_run": dry_run})
        assert fields["arguments"] == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("", ["pepnet"]), *[(text, ["pepnet", "--to", "v3.0.0"]) for text in ("v3", "3", "v3.0.0", "3.0.0")]],
)
def test_rollback_passes_model_and_version_as_arguments_of_their_own(
    version: str, expected: list[str]
) -> None:
    from dags.rollback import arguments

    assert arguments.function(params={"model": "pepnet", "version": version}) == expected


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("pepnet", "v3; reboot"), ("pepnet", "--help"), ("pepnet", "v1.2.0"), ("pepnet", None),
        ("pepnet", "\u0663"), ("--help", ""), ("$(reboot)", "v3"), ("unknown", ""),
    ],
)  # fmt: skip
def test_rollback_refuses_what_is_no_model_or_no_version(
    dags: dict[str, Any], model: str, version: Any
) -> None:
    from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

    from dags.rollback import arguments

    with pytest.raises(AirflowFailException):
        arguments.function(params={"model": model, "version": version})
    form = copy.deepcopy(dags["rollback"].params)
    with pytest.raises(ParamValidationError):
        form.update({"model": model, "version": version})


def test_rollback_refuses_a_version_with_a_line_break_which_the_form_lets_through() -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from dags.rollback import arguments

    with pytest.raises(AirflowFailException):
        arguments.function(params={"model": "pepnet", "version": "v3\n"})
