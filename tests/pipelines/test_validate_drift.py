"""The gates against the training days: what has drifted is stopped, what cannot be compared is not judged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.declarations.simulated import CATALOG
from pipelines.baselines import Baselines, baseline_path, find_baseline, write_baselines
from pipelines.days import DAY, Days, snapshot_instant
from pipelines.errors import GateError
from pipelines.gates.comparison import Comparison, Drift
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.validate import validate_features, validate_training
from pipelines.verdicts import find_verdict, require_passed, verdict_path
from tests.homes import make_home
from tests.pipelines.gate_lake import events, publish, snapshot, training_set, write_events, write_views

FIRST, LAST = date(2026, 1, 1), date(2026, 1, 12)
DAYS = Days(start=FIRST, end=LAST)
LAST_TRAINED, JUDGED = date(2026, 1, 10), LAST
TRAINING, VIEW = "training_sets/ranker_v1", "user_engagement"
TABLE = f"features/{VIEW}"
ROWS, KEYS = 400, 1500
RATE, COUNT, PROFILE = "click_rate_7d", "impressions_7d", "user_profile__activity"
SHORT_RATE, SHORT_COUNT = "click_rate_1d", "impressions_1d"
Poison = Callable[[list[object]], list[object]]


def settings_in(folder: Path) -> Settings:
    section = {
        "days": {"start": str(FIRST), "end": str(LAST)},
        "split": {"train": 9, "validation": 1, "test": 1},
    }
    return Settings(home=make_home(folder, "simulated", datasets={"simulated": section}), raw=None)


def overwritten(rows: pa.Table, name: str, poison: Poison, start: int = 0) -> pa.Table:
    """A column whose values from some row on are replaced by what `poison` makes of them."""
    index = rows.schema.get_field_index(name)
    values = rows[name].to_pylist()
    values[start:] = poison(values[start:])
    return rows.set_column(index, rows.schema.field(index), pa.array(values, rows.schema.types[index]))


def many_users(rows: pa.Table) -> pa.Table:
    """Events of a user each, so that there are keys enough to compare."""
    users = pa.array([str(row) for row in range(rows.num_rows)])
    return rows.set_column(rows.schema.get_field_index("user_id"), "user_id", users)


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pa.Table]:
    """A home as it is after assemble, and its training set."""
    settings = settings_in(tmp_path_factory.mktemp("assembled") / "home")
    lake = Lake(settings.lake)
    write_events(lake, CATALOG, DAYS, ROWS)
    write_views(lake, CATALOG, DAYS, {view.name: 40 for view in CATALOG.views} | {VIEW: KEYS})
    days = [ds for ds in DAYS if ds > FIRST]
    rows = many_users(training_set(CATALOG, "ranker_v1", [events(CATALOG, ds, ROWS) for ds in days]))
    publish(lake, TRAINING, LAST, rows)
    write_baselines(settings, LAST, rows)
    return settings.home, rows


@pytest.fixture
def settings(assembled: tuple[Path, pa.Table], tmp_path: Path) -> Settings:
    shutil.copytree(assembled[0], tmp_path / "home")
    return Settings(home=tmp_path / "home", raw=None)


@pytest.fixture
def rows(assembled: tuple[Path, pa.Table]) -> pa.Table:
    return assembled[1]


def hold_training(settings: Settings, rows: pa.Table) -> str:
    """Assemble these rows, hold the gate, and return what it says against them; empty when it passes."""
    publish(Lake(settings.lake), TRAINING, LAST, rows)
    write_baselines(settings, LAST, rows)
    try:
        validate_training(settings, LAST)
    except GateError as error:
        return str(error)
    return ""


def hold_snapshot(settings: Settings, poison: Callable[[pa.Table], pa.Table], ds: date = JUDGED) -> str:
    lake = Lake(settings.lake)
    publish(lake, TABLE, ds, poison(snapshot(CATALOG.view(VIEW), snapshot_instant(ds), KEYS)))
    try:
        validate_features(settings, Days.one(ds))
    except GateError as error:
        return str(error)
    return ""


def drift_of(settings: Settings, table: str, ds: date | None) -> Drift:
    verdict = find_verdict(Lake(settings.lake), table, ds)
    assert verdict is not None
    assert verdict.drift is not None
    return verdict.drift


def compared(settings: Settings, column: str) -> Comparison:
    return next(f for f in drift_of(settings, TRAINING, LAST).features if f.column == column)


def test_gate_passes_the_held_out_days_when_they_are_like_the_training_days(
    settings: Settings, rows: pa.Table
) -> None:
    assert hold_training(settings, rows) == ""
    found = compared(settings, PROFILE)
    assert not found.unjudged
    assert found.psi is not None
    assert found.psi < 0.1
    assert found.null_shift == 0.0


def test_gate_stops_a_training_set_when_a_feature_is_shifted_in_its_newest_days(
    settings: Settings, rows: pa.Table
) -> None:
    newest = rows.num_rows - ROWS
    message = hold_training(
        settings, overwritten(rows, PROFILE, lambda values: [0.999] * len(values), newest)
    )
    assert f'{PROFILE}: expected "PSI of {PROFILE} against the training days is at most' in message
    assert "since 2026-01-02..2026-01-10" in message
    assert "to 100%" in message


def test_gate_stops_a_training_set_when_a_category_vanished(settings: Settings, rows: pa.Table) -> None:
    newest = rows.num_rows - ROWS
    hours = np.arange(rows.num_rows) % 2
    rows = overwritten(rows, "hour", lambda _: [f"{hour}" for hour in hours])
    message = hold_training(settings, overwritten(rows, "hour", lambda values: ["1"] * len(values), newest))
    assert 'hour: expected "PSI of hour' in message
    assert 'the share of "0" went from 50% to 0%' in message


def test_gate_stops_a_training_set_when_nulls_jumped(settings: Settings, rows: pa.Table) -> None:
    newest = rows.num_rows - ROWS
    message = hold_training(settings, overwritten(rows, PROFILE, half_null, newest))
    assert f"the share of nulls of {PROFILE} is within 10% of that of the training days" in message
    assert "nulls went from 0% to 50% since 2026-01-02..2026-01-10" in message


def test_gate_lets_nulls_jump_when_they_do_so_within_the_training_days(
    settings: Settings, rows: pa.Table
) -> None:
    ups_and_downs = overwritten(rows, PROFILE, half_null, ROWS * 3)
    ups_and_downs = overwritten(ups_and_downs, PROFILE, lambda values: [0.5] * len(values), ROWS * 6)
    ups_and_downs = overwritten(ups_and_downs, PROFILE, half_null, rows.num_rows - ROWS)
    assert f"nulls of {PROFILE}" not in hold_training(settings, ups_and_downs)
    assert compared(settings, PROFILE).nulls_unjudged == "the training days differ as much among themselves"


def test_gate_does_not_judge_a_feature_of_four_scenarios(settings: Settings, rows: pa.Table) -> None:
    scenarios = np.arange(rows.num_rows) % 4
    rows = overwritten(rows, "scenario_id", lambda _: [f"{scenario}" for scenario in scenarios])
    shifted = overwritten(
        rows, "scenario_engagement__click_rate_1d", lambda values: [0.9] * len(values), rows.num_rows - ROWS
    )
    assert hold_training(settings, shifted) == ""
    found = compared(settings, "scenario_engagement__click_rate_1d")
    assert found.unjudged == "4 keys may differ that much by chance"
    assert (found.psi or 0.0) > 1.0


def test_gate_says_so_when_a_training_set_has_no_baseline(settings: Settings, rows: pa.Table) -> None:
    lake = Lake(settings.lake)
    publish(lake, TRAINING, LAST, rows.slice(0, rows.num_rows))
    baseline_path(lake, TRAINING, LAST).unlink()
    validate_training(settings, LAST)
    assert drift_of(settings, TRAINING, LAST).note.startswith("no baseline yet")


def test_gate_says_so_when_the_baseline_is_of_another_training_set(
    settings: Settings, rows: pa.Table
) -> None:
    publish(
        Lake(settings.lake), TRAINING, LAST, overwritten(rows, PROFILE, lambda values: [0.5] * len(values))
    )
    validate_training(settings, LAST)
    assert "of another training set" in drift_of(settings, TRAINING, LAST).note


def test_gate_stops_a_snapshot_and_names_feature_days_and_bin_when_a_feature_is_all_zero(
    settings: Settings,
) -> None:
    message = hold_snapshot(
        settings, lambda rows: overwritten(rows, RATE, lambda values: [0.0] * len(values))
    )
    assert f'{TABLE} ds={JUDGED}, {RATE}: expected "PSI of {RATE} against the training days is' in message
    assert "since 2026-01-02..2026-01-10" in message
    assert "100%" in message
    assert COUNT not in message


def test_gate_passes_a_snapshot_that_is_like_the_training_days_and_keeps_the_figures(
    settings: Settings,
) -> None:
    assert hold_snapshot(settings, lambda rows: rows) == ""
    found = drift_of(settings, TABLE, JUDGED)
    assert found.baseline == "2026-01-02..2026-01-10"
    assert {feature.column for feature in found.features} == {f.name for f in CATALOG.view(VIEW).features}
    assert all(feature.psi == 0.0 and not feature.unjudged for feature in found.features)
    summary = json.loads((settings.runs / "gates" / "features.json").read_text(encoding="utf-8"))
    (own,) = (table for table in summary["tables"] if table["table"] == TABLE)
    assert own["drift"] == {"ds": str(JUDGED), **found.model_dump(mode="json")}
    require_passed(Lake(settings.lake), TABLE, [JUDGED])


def test_gate_does_not_judge_drift_within_the_training_days(settings: Settings) -> None:
    shifted = hold_snapshot(
        settings, lambda rows: overwritten(rows, RATE, lambda values: [0.0] * len(values)), LAST_TRAINED
    )
    assert shifted == ""
    assert drift_of(settings, TABLE, LAST_TRAINED).features == ()


@pytest.mark.slow
def test_gate_does_not_judge_a_small_snapshot(settings: Settings) -> None:
    found = hold_snapshot(
        settings, lambda rows: overwritten(rows.slice(0, 160), RATE, lambda v: [0.0] * len(v))
    )
    assert "PSI of" in found
    few = hold_snapshot(
        settings, lambda rows: overwritten(rows.slice(0, 160), RATE, lambda v: v).slice(0, 150)
    )
    assert "PSI of" not in few


def test_baseline_is_the_same_bytes_when_it_is_written_again(settings: Settings, rows: pa.Table) -> None:
    paths = sorted((settings.lake / "baselines").rglob("*.json"))
    assert len(paths) == 1 + len(CATALOG.service("ranker_v1").views)
    before = [path.read_bytes() for path in paths]
    write_baselines(settings, LAST, rows)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.slow
def test_verdict_is_the_same_bytes_whichever_days_it_is_judged_with(settings: Settings) -> None:
    path = verdict_path(Lake(settings.lake), TABLE, JUDGED)
    validate_features(settings, Days.one(JUDGED))
    alone = path.read_bytes()
    validate_features(settings, Days(start=LAST_TRAINED, end=JUDGED))
    assert path.read_bytes() == alone


def test_a_window_that_reaches_back_before_the_log_is_not_judged(settings: Settings) -> None:
    baseline = find_baseline(Lake(settings.lake), TABLE, LAST)
    assert baseline is not None
    assert all(column.whole_window for column in baseline.columns.values())
    write_baselines_of_the_first_days(settings)
    assert hold_snapshot(settings, lambda rows: overwritten(rows, RATE, lambda v: [0.0] * len(v))) == ""
    (found,) = (f for f in drift_of(settings, TABLE, JUDGED).features if f.column == RATE)
    assert found.unjudged == "a window reaches back before the log"


def test_a_shorter_window_than_the_longest_is_judged_among_the_keys_that_have_an_event_in_it(
    settings: Settings,
) -> None:
    write_baselines_of_the_first_days(settings)
    message = hold_snapshot(settings, lambda rows: overwritten(rows, SHORT_RATE, lambda v: [0.0] * len(v)))
    assert f"PSI of {SHORT_RATE} against the training days is at most" in message

    def half_idle(rows: pa.Table) -> pa.Table:
        idle = overwritten(rows, SHORT_COUNT, lambda v: [0.0 if row % 2 else 5.0 for row in range(len(v))])
        return overwritten(idle, SHORT_RATE, lambda v: [0.3 if row % 2 else x for row, x in enumerate(v)])

    assert hold_snapshot(settings, half_idle) == ""
    found = {feature.column: feature for feature in drift_of(settings, TABLE, JUDGED).features}
    assert not found[SHORT_RATE].unjudged
    assert (found[SHORT_RATE].psi or 0.0) < 0.1
    assert found[SHORT_COUNT].unjudged == "a window reaches back before the log"


def test_a_column_is_not_compared_with_a_baseline_that_counted_other_rows(settings: Settings) -> None:
    lake = Lake(settings.lake)
    baseline = find_baseline(lake, TABLE, LAST)
    assert baseline is not None
    columns = baseline.columns | {RATE: baseline.columns[RATE].model_copy(update={"among": "another"})}
    changed = baseline.model_copy(update={"columns": columns})
    baseline_path(lake, TABLE, LAST).write_text(changed.model_dump_json(), encoding="utf-8")
    assert hold_snapshot(settings, lambda rows: overwritten(rows, RATE, lambda v: [0.0] * len(v))) == ""
    names = {feature.column for feature in drift_of(settings, TABLE, JUDGED).features}
    assert names == {feature.name for feature in CATALOG.view(VIEW).features} - {RATE}


def write_baselines_of_the_first_days(settings: Settings) -> None:
    """Baselines of a run whose training days are the log's first four, instead of those there are."""
    lake, end = Lake(settings.lake), FIRST + DAY * 5
    early = settings.home / "params.yaml"
    early.write_text(early.read_text(encoding="utf-8").replace("train: 9", "train: 4"), encoding="utf-8")
    rows = many_users(training_set(CATALOG, "ranker_v1", [events(CATALOG, ds, ROWS) for ds in DAYS]))
    publish(lake, TRAINING, end, rows)
    for path in (settings.lake / "baselines").rglob(f"ds={LAST}.json"):
        path.unlink()
    write_baselines(Settings(home=settings.home, raw=None), end, rows)


def test_baseline_of_a_day_is_the_newest_whose_training_days_are_over(settings: Settings) -> None:
    lake = Lake(settings.lake)
    newest = find_baseline(lake, TABLE, LAST)
    assert newest is not None
    older = newest.model_copy(update={"days": Days(start=FIRST, end=FIRST + DAY * 3)})
    baseline_path(lake, TABLE, FIRST + DAY * 5).write_text(older.model_dump_json(), encoding="utf-8")
    baseline_path(lake, TABLE, FIRST + DAY * 6).write_text("{}", encoding="utf-8")
    baselines = Baselines(lake, TABLE)
    assert baselines.before(LAST) == newest
    assert baselines.before(LAST_TRAINED) == older
    assert baselines.before(FIRST + DAY * 3) is None
    assert baselines.before(None) == newest


def half_null(values: list[object]) -> list[object]:
    return [None if row % 2 else value for row, value in enumerate(values)]
