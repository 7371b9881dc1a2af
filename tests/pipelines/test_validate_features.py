"""The features gate on snapshots of two days, of which the second is poisoned in every view."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.declarations.groups import Profile
from features.declarations.simulated import CATALOG
from pipelines.days import DAY, Days, snapshot_instant
from pipelines.errors import GateError, MissingPartitionError, NotValidatedError
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.validate import validate_features
from pipelines.verdicts import Failure, find_verdict, require_passed
from tests.homes import make_home
from tests.pipelines.gate_lake import publish, snapshot, write_views

GOOD, BAD = date(2026, 1, 1), date(2026, 1, 2)
DAYS = Days(start=GOOD, end=BAD)
ROWS = 20
Poison = Callable[[pa.Table], pa.Table]


def column(name: str, values: list[object]) -> Poison:
    """Overwrite the first rows of a column."""

    def poison(rows: pa.Table) -> pa.Table:
        index = rows.schema.get_field_index(name)
        kept = rows[name].to_pylist()[len(values) :]
        return rows.set_column(
            index, rows.schema.field(index), pa.array(values + kept, rows.schema.types[index])
        )

    return poison


# View, poison, then the column at fault, what the failure says of it, and how many rows it counts.
POISONS: list[tuple[str, Poison, str, str, int]] = [
    (
        "user_engagement", column("click_rate_1d", [1.5, 1.25, -0.5]),
        "click_rate_1d", 'expected "click_rate_1d is at most 1", found click_rate_1d=1.5', 2,
    ),
    (
        "item_engagement", column("item_id", [None, None]), "item_id", "item_id is not null", 2,
    ),
    (
        "scenario_engagement", column("event_timestamp", [snapshot_instant(BAD) + timedelta(microseconds=1)]),
        "event_timestamp", "event_timestamp=2026-01-03T00:00:00.000001Z, partition_end=2026-01-03", 1,
    ),
    (
        "user_scenario_engagement", lambda rows: pa.concat_tables([rows, rows.slice(3, 2)]),
        "user_id, scenario_id", "occurs once in a partition", 4,
    ),
    (
        "item_scenario_engagement", column("like_rate_7d", [None, math.nan]),
        "like_rate_7d", "like_rate_7d null in 2 of 20 rows", 2,
    ),
    (
        "author_engagement", column("impressions_3d", [math.inf]), "impressions_3d", "=inf in 1 of 20", 1,
    ),
    (
        "user_positives", column("author_ids", [["1"], [], None]),
        "author_ids", "author_ids has as many elements as item_ids", 3,
    ),
]  # fmt: skip


def settings_in(folder: Path) -> Settings:
    section = {
        "days": {"start": str(GOOD), "end": str(BAD + DAY)},
        "split": {"train": 1, "validation": 1, "test": 1},
    }
    return Settings(home=make_home(folder, "simulated", datasets={"simulated": section}), raw=None)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Lake, GateError]:
    settings = settings_in(tmp_path_factory.mktemp("poisoned") / "home")
    lake = Lake(settings.lake)
    write_views(lake, CATALOG, DAYS, ROWS)
    for view, poison, *_ in POISONS:
        rows = snapshot(CATALOG.view(view), snapshot_instant(BAD), ROWS)
        publish(lake, f"features/{view}", BAD, poison(rows))
    profile = pq.read_table(lake.files("features/user_profile")[0])
    publish(lake, "features/user_profile", None, column("activity", [-math.inf])(profile))
    with pytest.raises(GateError) as error:
        validate_features(settings, DAYS)
    return settings, lake, error.value


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path / "home")


def failures_of(lake: Lake, table: str, ds: date | None) -> tuple[Failure, ...]:
    verdict = find_verdict(lake, table, ds)
    assert verdict is not None
    return verdict.failures


@pytest.mark.parametrize(("view", "poison", "at_fault", "said", "rows"), POISONS, ids=[p[0] for p in POISONS])
def test_gate_stops_a_snapshot_and_names_column_and_rows(
    poisoned: tuple[Settings, Lake, GateError], view: str, poison: Poison, at_fault: str, said: str, rows: int
) -> None:
    _, lake, _ = poisoned
    failures = [f for f in failures_of(lake, f"features/{view}", BAD) if said in f.message]
    assert [failure.column for failure in failures] == [at_fault]
    assert failures[0].rows == rows
    with pytest.raises(NotValidatedError):
        require_passed(lake, f"features/{view}", [BAD])


def test_gate_lets_the_day_before_through_in_every_view(
    poisoned: tuple[Settings, Lake, GateError],
) -> None:
    _, lake, _ = poisoned
    for view in CATALOG.aggregates:
        require_passed(lake, f"features/{view.name}", [GOOD])


def test_gate_stops_a_profile_and_lets_the_other_through(
    poisoned: tuple[Settings, Lake, GateError],
) -> None:
    _, lake, _ = poisoned
    (failure,) = failures_of(lake, "features/user_profile", None)
    assert failure.examples == ("user_id=0, activity=-inf",)
    assert "activity is finite" in failure.message
    require_passed(lake, "features/item_profile", None)


def test_gate_names_both_bounds_when_values_lie_beyond_both(
    poisoned: tuple[Settings, Lake, GateError],
) -> None:
    _, lake, _ = poisoned
    said = {
        failure.expectation: failure.rows for failure in failures_of(lake, "features/user_engagement", BAD)
    }
    assert said == {"click_rate_1d is at least 0": 1, "click_rate_1d is at most 1": 2}


def test_gate_error_says_to_aggregate_again(poisoned: tuple[Settings, Lake, GateError]) -> None:
    _, _, error = poisoned
    assert "gatehouse aggregate --ds 2026-01-02` and `gatehouse validate features --ds 2026-01-02" in str(
        error
    )
    assert "features/user_engagement ds=2026-01-02, click_rate_1d" in str(error)


def test_gate_passes_every_view_when_snapshots_are_as_declared(settings: Settings) -> None:
    lake = Lake(settings.lake)
    write_views(lake, CATALOG, DAYS, ROWS)
    validate_features(settings, DAYS)
    for view in CATALOG.views:
        require_passed(lake, f"features/{view.name}", None if isinstance(view, Profile) else DAYS)


@pytest.mark.slow
def test_gate_judges_later_snapshots_when_a_rerun_changed_them(settings: Settings) -> None:
    lake, later = Lake(settings.lake), BAD + DAY
    write_views(lake, CATALOG, Days(start=GOOD, end=later), ROWS)
    validate_features(settings, Days(start=GOOD, end=later))
    table = "features/user_engagement"
    publish(lake, table, later, snapshot(CATALOG.view("user_engagement"), snapshot_instant(later), ROWS + 1))
    with pytest.raises(NotValidatedError):
        require_passed(lake, table, [later])
    validate_features(settings, Days.one(GOOD))
    require_passed(lake, table, [later])


def test_gate_passes_a_snapshot_without_rows_when_no_days_are_before_it(settings: Settings) -> None:
    lake = Lake(settings.lake)
    write_views(lake, CATALOG, Days.one(GOOD), ROWS)
    publish(
        lake,
        "features/user_positives",
        GOOD,
        snapshot(CATALOG.view("user_positives"), snapshot_instant(GOOD), 0),
    )
    lake.publish("features/item_engagement", GOOD, [], {})
    validate_features(settings, Days.one(GOOD))
    require_passed(lake, "features/user_positives", [GOOD])
    require_passed(lake, "features/item_engagement", [GOOD])


def test_gate_asks_for_aggregate_when_a_snapshot_was_never_written(settings: Settings) -> None:
    write_views(Lake(settings.lake), CATALOG, Days.one(GOOD), ROWS)
    with pytest.raises(MissingPartitionError, match="gatehouse aggregate --ds 2026-01-02"):
        validate_features(settings, DAYS)
