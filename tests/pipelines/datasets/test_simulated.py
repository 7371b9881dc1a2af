"""The simulated log: the same whatever else is generated, unbalanced, and as predictable as it says."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.counts import read_counts
from pipelines.days import Days
from pipelines.ingest import ingest
from pipelines.lake import Lake
from pipelines.settings import Settings
from tests.homes import make_home
from tests.pipelines.lake_reading import rows_of

pytestmark = pytest.mark.spark

DAYS = Days(start=date(2026, 1, 1), end=date(2026, 1, 4))
SIZE = 5_000


def _settings(folder: Path, **changes: int) -> Settings:
    simulation = {"users": 300, "items": 60, "scenarios": 4, "events_per_day": SIZE, "seed": 7} | changes
    section = {
        "days": {"start": str(DAYS.start), "end": str(DAYS.end)},
        "split": {"train": 2, "validation": 1, "test": 1},
        "simulation": simulation,
    }
    return Settings(home=make_home(folder, "simulated", datasets={"simulated": section}))


@pytest.fixture(scope="module")
def lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    settings = _settings(tmp_path_factory.mktemp("simulated"))
    ingest(settings, DAYS)
    return Lake(settings.lake)


@pytest.fixture(scope="module")
def rows(lake: Lake) -> pd.DataFrame:
    """Events beside their truth and profiles, with the user's `age_days` since registration."""
    joined = pd.DataFrame(rows_of(lake, "events", DAYS))
    for table, key in (("truth", "event_id"), ("users", "user_id"), ("items", "item_id")):
        of_table = pd.DataFrame(rows_of(lake, table, DAYS if table == "truth" else None))
        joined = joined.merge(of_table.drop(columns="author_id", errors="ignore"), on=key, validate="m:1")
    assert len(joined) == SIZE * len(DAYS)
    registered = pd.to_datetime(joined["registered_at"], unit="us", utc=True)
    joined["age_days"] = (joined["event_timestamp"] - registered) / pd.Timedelta(days=1)
    joined["ds"] = joined["event_timestamp"].dt.date
    return joined


def _slopes(rows: pd.DataFrame) -> dict[str, float]:
    """What the logit of a click grows by with each known cause, by least squares."""
    causes = {f"match_{axis}": rows[f"taste_{axis}"] * rows[f"style_{axis}"] for axis in (0, 1)}
    causes["quality"] = rows["quality"]
    known = np.column_stack([np.ones(len(rows)), *causes.values()])
    logit = np.log(rows["p_click"] / (1.0 - rows["p_click"]))
    slopes = np.linalg.lstsq(known, logit, rcond=None)[0]
    return dict(zip(causes, slopes[1:], strict=True))


def test_day_is_the_same_when_generated_alone(lake: Lake, tmp_path: Path) -> None:
    alone = _settings(tmp_path)
    ingest(alone, Days.one(DAYS.end))

    for table in ("events", "truth"):
        assert Lake(alone.lake).manifest(table, DAYS.end) == lake.manifest(table, DAYS.end)


def test_log_differs_when_the_seed_does(lake: Lake, tmp_path: Path) -> None:
    other = _settings(tmp_path, seed=8)
    ingest(other, Days.one(DAYS.end))

    assert Lake(other.lake).manifest("events", DAYS.end).content != lake.manifest("events", DAYS.end).content


def test_traffic_is_unbalanced_between_scenarios(lake: Lake) -> None:
    traffic = Counter(row["scenario_id"] for row in rows_of(lake, "events", DAYS))

    assert traffic.total() == SIZE * len(DAYS)
    assert traffic["s0"] / traffic.total() == pytest.approx(0.75, abs=0.02)
    assert traffic["s1"] / traffic.total() == pytest.approx(0.1235, abs=0.01)
    assert traffic["s3"] / traffic.total() == pytest.approx(0.003, abs=0.0015)


def test_duplicates_are_planted_and_removed(lake: Lake) -> None:
    counts = read_counts(lake, DAYS.start)

    assert counts.kept == SIZE
    assert 5 <= counts.duplicates <= 60


def test_labels_follow_their_true_probabilities(lake: Lake) -> None:
    truth = {row["event_id"]: row for row in rows_of(lake, "truth", DAYS)}
    events = rows_of(lake, "events", DAYS)

    assert len(truth) == len(events)
    likely = [row for row in events if truth[row["event_id"]]["p_click"] > 0.5]
    for rows in (events, likely):
        for task in ("click", "like"):
            expected = sum(truth[row["event_id"]][f"p_{task}"] for row in rows) / len(rows)
            assert sum(row[f"label_{task}"] for row in rows) / len(rows) == pytest.approx(expected, abs=0.03)


def test_users_register_on_every_day_and_are_not_seen_before(lake: Lake, rows: pd.DataFrame) -> None:
    assert (rows["age_days"] >= 0.0).all()
    users = pd.DataFrame(rows_of(lake, "users"))
    registered = pd.to_datetime(users["registered_at"], unit="us", utc=True).dt.date
    late = registered[registered >= DAYS.start]
    assert len(late) == len(users) // 3
    assert set(late) == set(DAYS), "users register on every day of the log, the test days included"
    days_known = rows["age_days"].where(registered_late := rows["user_id"].isin(users["user_id"][late.index]))
    assert registered_late.groupby(rows["ds"]).mean().is_monotonic_increasing
    assert days_known.min() < 0.1


def test_newcomers_click_what_is_popular_and_others_what_they_like(rows: pd.DataFrame) -> None:
    """Logits of one scenario are regressed on what they are made of; the appeal stays in the residual."""
    of_one = rows[rows["scenario_id"] == "s0"]
    newcomer = of_one["age_days"] < 3.0
    assert 0.1 < newcomer.mean() < 0.9
    assert _slopes(of_one[newcomer]) == pytest.approx(
        {"match_0": 0.0, "match_1": 0.0, "quality": 1.0}, abs=0.15
    )
    assert _slopes(of_one[~newcomer]) == pytest.approx(
        {"match_0": 0.9, "match_1": 0.9, "quality": 0.5}, abs=0.15
    )


@pytest.mark.parametrize(
    ("scenario", "signs"), [("s0", (1, 1)), ("s1", (-1, 1)), ("s2", (1, -1)), ("s3", (-1, -1))]
)
def test_scenarios_flip_what_taste_does(rows: pd.DataFrame, scenario: str, signs: tuple[int, int]) -> None:
    settled = rows[(rows["scenario_id"] == scenario) & (rows["age_days"] >= 3.0)]
    slopes = _slopes(settled)
    for axis, sign in enumerate(signs):
        assert sign * slopes[f"match_{axis}"] == pytest.approx(0.9, abs=0.4)


def test_true_probabilities_leave_as_much_to_learn_in_every_scenario(rows: pd.DataFrame) -> None:
    for _, part in rows.groupby("scenario_id"):
        assert 0.7 < roc_auc_score(part["label_click"], part["p_click"]) < 0.9


@pytest.mark.parametrize("scenarios", [1, 2, 3])
def test_every_scenario_has_traffic_when_there_are_few(spark: Any, tmp_path: Path, scenarios: int) -> None:
    settings = _settings(tmp_path, scenarios=scenarios)
    ingest(settings, Days.one(DAYS.start))

    found = {row["scenario_id"] for row in rows_of(Lake(settings.lake), "events", DAYS.start)}
    assert found == {f"s{number}" for number in range(scenarios)}
