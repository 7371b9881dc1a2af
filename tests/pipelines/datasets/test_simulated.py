"""The simulated log: the same whatever else is generated, unbalanced, and as predictable as it says."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.counts import read_counts
from pipelines.datasets.best_auc import best_auc
from pipelines.days import Days
from pipelines.errors import MissingPartitionError
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
    assert traffic["s0"] / traffic.total() == pytest.approx(0.7, abs=0.02)
    assert traffic["s3"] / traffic.total() == pytest.approx(0.02, abs=0.005)


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


def test_best_auc_is_well_above_chance_in_every_scenario(lake: Lake) -> None:
    best = best_auc(lake, DAYS)

    assert list(best) == ["s0", "s1", "s2", "s3"]
    for auc in best.values():
        assert auc["click"] is not None
        assert 0.7 < auc["click"] < 0.9


def test_best_auc_is_refused_when_there_is_no_truth(tmp_path: Path) -> None:
    with pytest.raises(MissingPartitionError, match="only the simulated log has them"):
        best_auc(Lake(tmp_path), DAYS)


@pytest.mark.parametrize("scenarios", [1, 2, 3])
def test_every_scenario_has_traffic_when_there_are_few(spark: Any, tmp_path: Path, scenarios: int) -> None:
    settings = _settings(tmp_path, scenarios=scenarios)
    ingest(settings, Days.one(DAYS.start))

    found = {row["scenario_id"] for row in rows_of(Lake(settings.lake), "events", DAYS.start)}
    assert found == {f"s{number}" for number in range(scenarios)}
