"""Nothing unvalidated goes on: a verdict counts only for the very bytes it was given on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.days import DAY, Days
from pipelines.errors import MissingPartitionError, NotValidatedError
from pipelines.lake import Lake
from pipelines.verdicts import Failure, Verdict, find_verdict, require_passed, verdict_path, write_verdict

MONDAY, TUESDAY = date(2026, 1, 5), date(2026, 1, 6)
FAILURE = Failure(
    column="label_click",
    expectation="is 0 or 1",
    observed="2",
    rows=1,
    message="label_click: 1 row is not 0 or 1",
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def publish(lake: Lake, table: str, ds: date | None, values: list[int]) -> None:
    with lake.staging() as staging:
        pq.write_table(pa.table({"value": values}), staging / "part.parquet")
        lake.publish(table, ds, staging.iterdir(), {})


def judge(lake: Lake, table: str, ds: date | None, passed: bool = True) -> Verdict:
    verdict = Verdict(
        table=table,
        ds=str(ds) if ds else None,
        content=lake.manifest(table, ds).content,
        passed=passed,
        checks=3,
        failures=() if passed else (FAILURE,),
    )
    write_verdict(lake, verdict)
    return verdict


def test_require_passed_lets_through_when_every_written_day_has_passed(lake: Lake) -> None:
    publish(lake, "events", MONDAY, [1])
    judge(lake, "events", MONDAY)
    require_passed(lake, "events", Days(start=MONDAY, end=TUESDAY))  # Tuesday was never written


def test_require_passed_names_the_partition_and_the_command_when_unjudged(lake: Lake) -> None:
    publish(lake, "events", MONDAY, [1])
    with pytest.raises(NotValidatedError, match=r"events/ds=2026-01-05 has not been validated") as error:
        require_passed(lake, "events", Days.one(MONDAY))
    assert "gatehouse validate events --ds 2026-01-05" in str(error.value)


def test_require_passed_raises_when_the_partition_changed_since(lake: Lake) -> None:
    publish(lake, "events", MONDAY, [1])
    judge(lake, "events", MONDAY)
    publish(lake, "events", MONDAY, [2])
    with pytest.raises(NotValidatedError, match="changed since"):
        require_passed(lake, "events", [MONDAY])


def test_require_passed_says_what_failed_when_the_verdict_is_no(lake: Lake) -> None:
    publish(lake, "features/user_engagement", MONDAY, [1])
    publish(lake, "features/user_engagement", TUESDAY, [1])
    judge(lake, "features/user_engagement", MONDAY)
    judge(lake, "features/user_engagement", TUESDAY, passed=False)
    with pytest.raises(NotValidatedError, match="1 row is not 0 or 1") as error:
        require_passed(lake, "features/user_engagement", [MONDAY, TUESDAY])
    assert "gatehouse validate features --ds 2026-01-06" in str(error.value)
    require_passed(lake, "features/user_engagement", [MONDAY])


def test_require_passed_names_the_range_when_several_days_are_refused(lake: Lake) -> None:
    days = Days(start=MONDAY, end=MONDAY + DAY * 3)
    for ds in days:
        publish(lake, "events", ds, [1])
    with pytest.raises(NotValidatedError, match=r"\(and 1 more\)") as error:
        require_passed(lake, "events", days)
    assert "gatehouse validate events --start 2026-01-05 --end 2026-01-08" in str(error.value)


def test_require_passed_reads_a_table_without_days(lake: Lake) -> None:
    publish(lake, "features/user_profile", None, [1])
    with pytest.raises(NotValidatedError, match="gatehouse validate features`"):
        require_passed(lake, "features/user_profile", None)
    judge(lake, "features/user_profile", None)
    require_passed(lake, "features/user_profile", None)


def test_require_passed_names_the_training_gate_of_a_training_set(lake: Lake) -> None:
    publish(lake, "training_sets/ranker_v1", MONDAY, [1])
    with pytest.raises(NotValidatedError, match="gatehouse validate training --ds 2026-01-05"):
        require_passed(lake, "training_sets/ranker_v1", [MONDAY])


def test_require_passed_says_which_stage_to_run_when_a_table_was_never_written(lake: Lake) -> None:
    with pytest.raises(MissingPartitionError, match="gatehouse aggregate"):
        require_passed(lake, "features/user_profile", None)


def test_a_verdict_reads_back_as_it_was_written(lake: Lake) -> None:
    publish(lake, "events", MONDAY, [1])
    verdict = judge(lake, "events", MONDAY, passed=False)
    assert find_verdict(lake, "events", MONDAY) == verdict
    before = verdict_path(lake, "events", MONDAY).read_bytes()
    write_verdict(lake, verdict)
    assert verdict_path(lake, "events", MONDAY).read_bytes() == before
    assert [path.name for path in verdict_path(lake, "events", MONDAY).parent.iterdir()] == [
        "ds=2026-01-05.json"
    ]


def test_an_unreadable_verdict_counts_as_none(lake: Lake) -> None:
    publish(lake, "events", MONDAY, [1])
    judge(lake, "events", MONDAY)
    verdict_path(lake, "events", MONDAY).write_text('{"table": "ev', encoding="utf-8")
    assert find_verdict(lake, "events", MONDAY) is None
    with pytest.raises(NotValidatedError, match="has not been validated"):
        require_passed(lake, "events", [MONDAY])
