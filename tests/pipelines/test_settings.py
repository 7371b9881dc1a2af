"""params.yaml is checked whole, and the split follows the run's last day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.days import Days
from pipelines.errors import SettingsError
from pipelines.settings import CHECKOUT, Settings, Split

Home = Callable[..., Path]


def test_committed_params_are_valid_for_every_data_set() -> None:
    params = Settings(home=CHECKOUT).params
    for name, dataset in params.datasets.items():
        split = dataset.split.days(dataset.days.end)
        assert split["train"].start >= dataset.days.start, name


def test_split_parts_follow_each_other_and_end_on_the_last_day() -> None:
    parts = Split(train=4, validation=1, test=3).days(date(2022, 5, 8))
    assert [str(days) for days in parts.values()] == [
        "2022-05-01..2022-05-04",
        "2022-05-05",
        "2022-05-06..2022-05-08",
    ]


def test_unknown_parameter_is_named(home: Home) -> None:
    folder = home("simulated", train={"learning_rate": 1})
    with pytest.raises(SettingsError, match=r"train\.learning_rate: Extra inputs"):
        _ = Settings(home=folder).params


def test_unknown_data_set_names_those_there_are(home: Home) -> None:
    with pytest.raises(SettingsError, match="'netflix' is not one of movielens-100k"):
        _ = Settings(home=home("netflix")).params


def test_missing_params_say_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="GATEHOUSE_HOME"):
        _ = Settings(home=tmp_path).params


def test_days_are_closed_at_both_ends() -> None:
    days = Days(start=date(2024, 2, 28), end=date(2024, 3, 1))
    assert [str(ds) for ds in days] == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert len(days) == 3
    assert days.end in days


def test_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValidationError, match="after its end"):
        Days(start=date(2024, 1, 2), end=date(2024, 1, 1))
