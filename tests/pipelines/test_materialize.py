from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis

from features.serving.lookup import FeatureLookup
from features.serving.online import find_loss, find_served
from features.store import open_store
from pipelines import materialize as stage
from pipelines.days import DAY, Days
from pipelines.errors import MissingPartitionError, NotValidatedError
from pipelines.lake import Lake
from pipelines.materialize import materialize
from pipelines.settings import Settings
from pipelines.verdicts import verdict_path
from tests.features.hand_made_lake import settings_of, write_lake, write_snapshot
from tests.features.stores.stores import on_redis
from tests.valkeys import valkey

DAYS = Days(start=date(2026, 1, 4), end=date(2026, 1, 6))
DS = DAYS.end
VIEW = "user_engagement"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three days of hand-made, validated snapshots; nothing is served."""
    settings = settings_of(tmp_path / "home", "simulated")
    write_lake(settings.lake, settings.catalog, DAYS, ids=3)
    return settings


def state(settings: Settings) -> Path:
    return settings.home / "feast"


def forget(settings: Settings) -> None:
    """Remove the online store, as if nothing had ever been written to it."""
    for path in state(settings).glob("online.db*"):
        path.unlink()


def plain(column: Any) -> list[Any]:
    """Values with NaN as None."""
    if isinstance(column, np.ndarray):
        return [None if np.isnan(value) else float(value) for value in column]
    return list(column.to_pylist())


def look_up(
    settings: Settings, items: tuple[str, ...] = ("item-0", "item-1", "item-2")
) -> dict[str, list[Any]]:
    """All columns for a user and items, NaN as None."""
    lookup = FeatureLookup(open_store(settings.home), settings.catalog, "ranker_v1")
    found = lookup.batch(scenario="scenario-1", user="user-1", items=items)
    return {name: plain(column) for name, column in found.columns.items()}


def rewrite(settings: Settings, ds: date, keys: list[tuple[str, ...]], seed: int) -> None:
    """Replace a day's snapshot of VIEW with validated values of another seed."""
    view = settings.catalog.view(VIEW)
    write_snapshot(Lake(settings.lake), view, ds, keys, DAYS.start, random.Random(seed))


def test_served_names_the_day_and_each_view_when_all_is_written(settings: Settings) -> None:
    materialize(settings, DS)
    served = find_served(open_store(settings.home))
    assert served is not None
    assert (served.dataset, served.ds) == ("simulated", DS)
    assert list(served.views) == [view.name for view in settings.catalog.views]
    assert served.views["user_profile"].rows == 3


def test_second_run_changes_nothing(settings: Settings) -> None:
    materialize(settings, DS)
    before, values = (state(settings) / "served.json").read_bytes(), look_up(settings)
    materialize(settings, DS)
    assert (state(settings) / "served.json").read_bytes() == before
    assert look_up(settings) == values


def test_next_day_gives_what_a_fresh_store_would_hold(settings: Settings) -> None:
    materialize(settings, DS - DAY)
    materialize(settings, DS)
    stepwise = look_up(settings)
    forget(settings)
    materialize(settings, DS)
    assert look_up(settings) == stepwise


def test_earlier_day_forgets_what_happened_after_it(settings: Settings) -> None:
    materialize(settings, DS - DAY)
    before = look_up(settings)
    materialize(settings, DS)
    assert look_up(settings) != before
    materialize(settings, DS - DAY)
    assert look_up(settings) == before


def test_earlier_day_leaves_the_served_one_when_the_store_only_goes_forward(settings: Settings) -> None:
    materialize(settings, DS - DAY, forward=True)
    materialize(settings, DS, forward=True)
    before = look_up(settings)
    rewrite(settings, DS, [("user-1",)], seed=99)
    materialize(settings, DS - DAY, forward=True)
    served = find_served(open_store(settings.home))
    assert served is not None
    assert served.ds == DS
    assert look_up(settings) != before  # what running the earlier day has mended is served too


def test_correction_of_the_served_day_becomes_visible(settings: Settings) -> None:
    rewrite(settings, DS, [("user-1",), ("user-2",)], seed=1)
    materialize(settings, DS)
    before = look_up(settings)
    rewrite(settings, DS, [("user-1",)], seed=2)
    materialize(settings, DS)
    changed = {name for name, column in look_up(settings).items() if column != before[name]}
    assert changed
    assert all(name.startswith(VIEW) for name in changed)


def test_rows_are_written_again_when_the_database_was_removed(settings: Settings) -> None:
    materialize(settings, DS)
    values = look_up(settings)
    forget(settings)
    materialize(settings, DS)
    assert look_up(settings) == values


@pytest.mark.redis
def test_rows_are_written_again_when_the_server_has_lost_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lake(settings.lake, settings.catalog, DAYS, ids=6)
    last = ("item-5",)  # of each view the first row is looked for in any case, and this is none
    with valkey() as url:
        monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(on_redis(tmp_path / "redis.yaml", url)))
        materialize(settings, DS)
        values = look_up(settings, last)
        [lost] = Redis.from_url(url).keys("?????1:item-5")
        Redis.from_url(url).delete(lost)
        assert look_up(settings, last) != values
        assert find_loss(open_store(settings.home)).startswith("the online store has lost 1 of")
        materialize(settings, DS)
        assert look_up(settings, last) == values


def test_served_stays_when_a_run_dies_halfway_and_the_next_run_finishes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(settings, DS - DAY)
    before = find_served(open_store(settings.home))
    write, written = stage._write, []

    def die_at_the_fourth_view(*arguments: Any) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "_write", die_at_the_fourth_view)
        with pytest.raises(KeyboardInterrupt):
            materialize(settings, DS)
    assert find_served(open_store(settings.home)) == before
    materialize(settings, DS)
    after_the_kill = look_up(settings)
    forget(settings)
    materialize(settings, DS)
    assert look_up(settings) == after_the_kill


def test_ids_of_another_data_set_do_not_linger(settings: Settings) -> None:
    materialize(settings, DS)
    other = settings_of(settings.home, "movielens-100k")
    days = Days(start=date(1998, 4, 20), end=date(1998, 4, 22))
    write_lake(other.lake, other.catalog, days, ids=2)
    materialize(other, days.end)
    found = FeatureLookup(open_store(other.home), other.catalog, "ranker_v1").batch(
        scenario="scenario-1", user="user-2", items=["item-2"]
    )
    features = [
        plain(found.columns[name])[0]
        for name, _ in other.catalog.service_columns("ranker_v1")
        if "user" in name
    ]
    assert all(value is None or (isinstance(value, np.floating) and np.isnan(value)) for value in features)


def test_partition_that_was_not_validated_stops_the_stage_before_anything_is_written(
    settings: Settings,
) -> None:
    verdict_path(Lake(settings.lake), f"features/{VIEW}", DS - DAY).unlink()
    with pytest.raises(NotValidatedError, match=f"features/{VIEW}/ds={DS - DAY}"):
        materialize(settings, DS)
    assert not state(settings).exists()


def test_error_names_the_view_when_the_day_has_no_snapshot(settings: Settings) -> None:
    with pytest.raises(MissingPartitionError, match=r"ds=2026-01-07.*gatehouse aggregate"):
        materialize(settings, DS + DAY)


@pytest.mark.spark
@pytest.mark.redis
def test_executors_write_what_one_process_does(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(settings, DS)
    expected = look_up(settings)
    with valkey() as url:
        config = on_redis(tmp_path / "spark.yaml", url, engine="spark")
        monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(config))
        materialize(settings, DS)
        assert look_up(settings) == expected
