from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.settings import Settings
from tests.pipelines.published_models import DS, write_model, write_verdict

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


@pytest.fixture
def settings(simulated_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("GATEHOUSE_HOME", str(simulated_settings.home))
    write_model(simulated_settings, "weights")
    return simulated_settings


def _operator(command: Sequence[str], ds: str = str(DS), **settings: Any) -> Any:
    from dags.operators import StageOperator

    return StageOperator(task_id="stage", command=command, ds=ds, **settings)


def test_operator_runs_the_stage_for_its_day(settings: Settings) -> None:
    write_verdict(settings)
    _operator(("publish",)).execute({})
    assert (settings.home / "registry" / "simulated" / "published.json").exists()


def test_operator_tells_consumers_the_day_when_it_updates_an_asset(settings: Settings) -> None:
    from types import SimpleNamespace

    from dags.road import FEATURES

    write_verdict(settings)
    partitions: list[str] = []
    event = SimpleNamespace(extra={}, add_partitions=partitions.append)
    operator = _operator(("publish",), outlets=[FEATURES], told={"retrain": "True"})
    operator.execute({"outlet_events": {FEATURES: event}})
    assert event.extra == {"ds": "2026-01-06", "retrain": "True"}
    assert partitions == ["2026-01-06"]


def test_operator_runs_a_command_without_a_day_and_returns_its_answer(settings: Settings) -> None:
    write_verdict(settings)
    answer = _operator(("behind",), ds=None, arguments=["--json"], answers=True).execute({})
    assert answer["evaluated"] == "2026-01-06"
    assert answer["retrain"] is None


def test_operator_passes_each_argument_as_it_is(settings: Settings) -> None:
    from airflow.sdk.exceptions import AirflowException

    injected = _operator(("behind",), ds=None, arguments=["; touch injected; echo {}"], answers=True)
    with pytest.raises(AirflowException, match="ended with status 2"):
        injected.execute({})
    assert not Path("injected").exists()


def test_operator_gives_a_range_for_several_days(settings: Settings) -> None:
    assert _operator(("ingest",), since="2026-01-04")._days() == [
        "--start", "2026-01-04", "--end", "2026-01-06",
    ]  # fmt: skip
    assert _operator(("ingest",), since="")._days() == ["--ds", "2026-01-06"]


@pytest.mark.parametrize("since", ["2026-01-07", "--help"])
def test_operator_fails_for_good_when_the_first_day_is_none_or_later(settings: Settings, since: str) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException):
        _operator(("ingest",), since=since).execute({})


def test_operator_fails_for_good_when_a_gate_is_shut(settings: Settings) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    write_verdict(settings, passed=False)
    with pytest.raises(AirflowFailException, match="a gate is shut"):
        _operator(("publish",)).execute({})


def test_operator_may_be_retried_when_a_stage_failed_otherwise(settings: Settings) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    with pytest.raises(AirflowException, match="ended with status 1") as failed:
        _operator(("publish",)).execute({})
    assert not isinstance(failed.value, AirflowFailException)


def test_operator_fails_for_good_when_the_day_is_none(settings: Settings) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="is not a day"):
        _operator(("publish",), ds="2026-01-06; reboot").execute({})


def test_operator_tells_the_stage_which_run_and_task_it_belongs_to(monkeypatch) -> None:
    from types import SimpleNamespace

    from dags.operators import whence
    from pipelines.days import DAY
    from pipelines.lineage.events import State, event
    from pipelines.lineage.of_stage import Moved
    from pipelines.observing.run import StageRun

    instant = datetime(2026, 1, 7, tzinfo=UTC)
    run = SimpleNamespace(logical_date=instant, run_after=instant + DAY, conf=None, clear_number=0)
    task = SimpleNamespace(
        dag_id="daily_retrain", task_id="train", try_number=2, map_index=3, dag_run=run,
        get_template_context=dict,
    )  # fmt: skip
    for name, value in whence({"ti": task, "run_id": "manual__1"}).items():  # type: ignore[typeddict-item]
        monkeypatch.setenv(name, value)
    stage_run = StageRun.of("simulated", "train", DS, "pepnet")
    assert stage_run.fields["run"] == "manual__1"
    parent = event(Settings(), stage_run, State.START, Moved((), ()))["run"]["facets"]["parent"]
    assert parent["job"]["name"] == "daily_retrain.train"
    assert parent["root"]["job"]["name"] == "daily_retrain"
    assert parent["run"]["runId"] != parent["root"]["run"]["runId"]


def test_operator_ends_the_stage_when_its_task_is_killed(settings: Settings) -> None:
    from airflow.sdk.exceptions import AirflowException

    operator = _operator(("publish",))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            operator.execute({})
        except AirflowException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while operator._child is None:
        os.sched_yield()
    child = psutil.Process(operator._child.pid)
    operator.on_kill()
    thread.join(timeout=30)
    assert not child.is_running()
    assert str(-signal.SIGTERM) in str(failures[0])
