"""MovieLens-100k, the real one: fetched by name and version, read out of the wheel, never installed."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.counts import read_counts
from pipelines.datasets.movielens_100k import WHEEL
from pipelines.days import Days
from pipelines.errors import RawDataError
from pipelines.ingest import ingest
from pipelines.lake import Lake
from pipelines.settings import CHECKOUT, Settings
from tests.homes import make_home
from tests.pipelines.lake_reading import rows_of

pytestmark = [pytest.mark.spark, pytest.mark.slow]

WEEK = Days(start=date(1997, 11, 10), end=date(1997, 11, 16))


@pytest.fixture(scope="module")
def lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One week of the real ratings; the wheel comes from the checkout's raw/ folder or from pip."""
    settings = Settings(home=make_home(tmp_path_factory.mktemp("ml"), "movielens-100k"), raw=CHECKOUT / "raw")
    ingest(settings, WEEK)
    return Lake(settings.lake)


def test_week_has_all_its_ratings(lake: Lake) -> None:
    counts = [read_counts(lake, day) for day in WEEK]

    assert sum(day.kept for day in counts) == sum(day.rows for day in counts) == 9_064


def test_scenario_is_the_viewers_age_group(lake: Lake) -> None:
    ages = {row["user_id"]: row["age"] for row in rows_of(lake, "users")}
    seen = {(row["scenario_id"], ages[row["user_id"]]) for row in rows_of(lake, "events", WEEK)}

    groups = Counter(group for group, _ in seen)
    assert set(groups) == {"under_25", "25_34", "35_plus"}
    assert all((group == "under_25") == (age <= 24) for group, age in seen)
    assert all((group == "35_plus") == (age >= 35) for group, age in seen)


def test_loved_films_are_liked_too(lake: Lake) -> None:
    labels = Counter((row["label_liked"], row["label_loved"]) for row in rows_of(lake, "events", WEEK))

    assert set(labels) == {(0, 0), (1, 0), (1, 1)}


def test_rating_is_a_quantity_that_its_labels_follow_from(lake: Lake) -> None:
    events = rows_of(lake, "events", WEEK)

    assert {row["rating"] for row in events} == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert all(row["label_liked"] == (row["rating"] >= 4.0) for row in events)


def test_profiles_hold_every_viewer_and_film(lake: Lake) -> None:
    films = {row["item_id"]: row for row in rows_of(lake, "items")}

    assert len(rows_of(lake, "users")) == 943
    assert len(films) == 1_682
    assert films["1"] == {
        "item_id": "1",
        "release_year": 1995.0,
        "genres": "Animation Children's Comedy",
        "genre_id": "Animation",
    }
    assert films["1412"]["release_year"] is None  # the raw file has "V" there


def test_wheel_is_refused_when_its_hash_differs(spark: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "raw/movielens-100k" / WHEEL
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"not a wheel")

    with pytest.raises(RawDataError, match=r"is not the wheel of recbole==1\.2\.1"):
        ingest(Settings(home=make_home(tmp_path, "movielens-100k")), WEEK)
