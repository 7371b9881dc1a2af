from __future__ import annotations

from typing import Any

import pytest

from pipelines.days import Days
from pipelines.model_files import verified_digest
from pipelines.observing.console import stage
from pipelines.settings import Settings
from pipelines.verdicts import Failure
from tests.pipelines.lineage.conftest import events_of
from tests.pipelines.lineage.openlineage import read_back, without_empty
from tests.pipelines.observed_road import DAYS, DS, judge

STAGES = [
    "ingest", "validate_events", "aggregate", "validate_features", "materialize", "assemble",
    "validate_training", "train.pepnet", "evaluate", "publish",
]  # fmt: skip
NULLS = Failure(
    column="user_id", expectation="is not null", observed="3 nulls", rows=3, message="3 users are null"
)


def test_each_stage_says_that_it_started_and_that_it_ended(walked: Settings) -> None:
    said = [(own["job"]["name"], own["eventType"]) for own in events_of(walked)]
    assert said == [(name, state) for name in STAGES for state in ("START", "COMPLETE")]
    ids = [own["run"]["runId"] for own in events_of(walked)]
    assert ids[::2] == ids[1::2]
    assert len(set(ids)) == len(STAGES)


def test_events_are_what_openlineages_own_classes_make_of_them(settings: Settings, monkeypatch) -> None:
    run = "0197f0a0-0000-7000-8000-000000000000"
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/daily_retrain.train/{run}")
    monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", f"airflow/daily_retrain/{run}")
    with pytest.raises(RuntimeError):
        judge(settings, "events", DAYS, ["events"], (NULLS,))
    events = events_of(settings)
    assert events[-1]["eventType"] == "FAIL"
    for own in events:
        assert without_empty(read_back(own)) == without_empty(own)


def test_a_stage_that_fails_says_why_and_what_it_had_judged(settings: Settings) -> None:
    with pytest.raises(RuntimeError):
        judge(settings, "events", Days.one(DS), ["events"], (NULLS,))
    event = events_of(settings)[-1]
    assert event["run"]["facets"]["errorMessage"]["message"] == "RuntimeError: 3 users are null"
    [judged] = event["inputs"]
    gate, failed = judged["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (gate["assertion"], gate["success"]) == ("gate", False)
    assert (failed["column"], failed["assertion"], failed["actual"]) == ("user_id", "is not null", "3 nulls")


def test_a_stage_that_fails_at_once_names_what_it_would_have_touched(settings: Settings) -> None:
    with pytest.raises(RuntimeError), stage(settings, "ingest", DAYS):
        raise RuntimeError("no log")
    event = events_of(settings)[-1]
    tables = ("events", "items", "quarantine", "users")
    assert [own["name"] for own in event["outputs"]] == [f"lake/simulated/{table}" for table in tables]


def test_an_interrupted_stage_is_aborted(settings: Settings) -> None:
    with pytest.raises(KeyboardInterrupt), stage(settings, "ingest", DAYS):
        raise KeyboardInterrupt
    assert events_of(settings)[-1]["eventType"] == "ABORT"


def test_outputs_are_told_by_partition_content_rows_and_bytes(walked: Settings) -> None:
    ingest = _completed(walked, "ingest")
    [events] = [own for own in ingest["outputs"] if own["name"] == "lake/simulated/events"]
    partitions = events["outputFacets"]["subset"]["outputCondition"]["partitions"]
    assert [own["dimensions"]["ds"] for own in partitions] == [str(ds) for ds in DAYS]
    assert len({own["identifier"] for own in partitions}) == len(DAYS)
    statistics = events["outputFacets"]["outputStatistics"]
    assert statistics["rowCount"] == 1000
    assert statistics["size"] > 1000
    assert {"event_id", "user_id", "label_click"} <= {
        own["name"] for own in events["facets"]["schema"]["fields"]
    }


def test_a_partition_that_the_run_made_itself_is_no_input(walked: Settings) -> None:
    inputs = {own["name"] for own in _completed(walked, "aggregate")["inputs"]}
    assert inputs == {"lake/simulated/events", "lake/simulated/users", "lake/simulated/items"}


def test_a_version_has_the_digest_of_the_model_it_was_trained_as(walked: Settings) -> None:
    [trained] = _completed(walked, "train.pepnet")["outputs"]
    [version] = _completed(walked, "publish")["outputs"]
    assert version["name"] == "registry/simulated/pepnet@v1.0.0"
    digest = verified_digest(walked.models / "pepnet" / f"ds={DS}")
    assert version["facets"]["version"]["datasetVersion"] == digest
    assert trained["facets"]["version"]["datasetVersion"] == digest


def _completed(settings: Settings, job: str) -> dict[str, Any]:
    return next(
        own for own in events_of(settings) if (own["job"]["name"], own["eventType"]) == (job, "COMPLETE")
    )
