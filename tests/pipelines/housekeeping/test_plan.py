"""What goes and what stays, against a statement of every read that is still to come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.housekeeping.needs import InUse, least_days
from pipelines.housekeeping.plan import removals
from pipelines.housekeeping.sweep import take
from pipelines.housekeeping.taking import remove_folder
from pipelines.lake import Lake
from pipelines.settings import RetentionParams, Settings, Split
from tests.pipelines.housekeeping.lakes import LAST, SERVICES, contents, day, file, make, retained, tables

TODAY = date(2026, 4, 1)
OLD, YOUNG = date(2026, 1, 1), TODAY
SPLIT = {"train": 2, "validation": 1, "test": 1}


def _reads(own: Settings, in_use: InUse, kept_features: int) -> Iterator[tuple[str, date]]:
    """Every partition that something may read from now on, day by day and as plainly as can be."""
    for end in (LAST, LAST + timedelta(days=1)):  # the newest run again, and the next one
        yield from _reads_of_a_run(own, end)
    for view in own.catalog.aggregates:
        for back in range(kept_features):  # a late day makes a snapshot anew
            for window in range(view.reach + 1):
                yield f"tiles/{view.name}", day(back + window)
                if view.intraday:
                    yield "events", day(back + window)
        if in_use.served:
            for age in range(view.ttl.days + 1):
                yield f"features/{view.name}", in_use.served - timedelta(days=age)
    for service in SERVICES:
        for ds in in_use.runs:
            yield f"training_sets/{service}", ds


def _reads_of_a_run(own: Settings, end: date) -> Iterator[tuple[str, date]]:
    for back in range(sum(own.dataset_params.split.model_dump().values())):
        event_day = end - timedelta(days=back)
        yield "events", event_day
        yield "truth", event_day
        for view in own.catalog.aggregates:  # an event may find a snapshot as old as the TTL
            for age in range(view.ttl.days + 2):
                yield f"features/{view.name}", event_day - timedelta(days=age)
    for back in range(1, 15):  # whether a day has as many rows as usual
        for table in ("events", *(f"features/{view.name}" for view in own.catalog.aggregates)):
            yield table, end - timedelta(days=back)


@settings(max_examples=12)
@given(
    backs=st.sets(st.integers(0, 60), max_size=6),
    split=st.fixed_dictionaries(dict.fromkeys(SPLIT, st.integers(1, 6))),
    more=st.lists(st.integers(0, 2), min_size=3, max_size=3),
    short=st.integers(1, 20),
    served=st.none() | st.integers(0, 60),
    runs=st.sets(st.integers(0, 60), max_size=3),
)
def test_nothing_goes_that_is_read_again_and_nothing_old_stays_that_is_not(
    backs: set[int], split: dict[str, int], more: list[int], short: int, served: int | None, runs: set[int]
) -> None:
    kept = RetentionParams(**retained(short))
    with TemporaryDirectory() as folder:
        bare = make(Path(folder) / "bare", [], kept.model_dump(), split)
        for kind, extra in zip(("features", "tiles", "events"), more, strict=True):
            least = least_days(kept, Split(**split), bare.catalog)[kind]
            kept = kept.model_copy(update={kind: least + extra})
        for days in (kept.features, kept.tiles, kept.events):  # the last day that stays, the first that goes
            backs |= {days - 1, days}
        own = make(Path(folder) / "home", {LAST, *map(day, backs)}, kept.model_dump(), split)
        in_use = InUse(None if served is None else day(served), frozenset(map(day, runs)))
        lake = Lake(own.lake)
        before = {(table, ds) for table in tables(own) for ds in lake.days(table)}

        take(own, removals(own, in_use, TODAY))

        after = {(table, ds) for table in tables(own) for ds in lake.days(table)}
        needed = set(_reads(own, in_use, kept.features))
        assert (before - after) & needed == set()
        kinds = {"truth": "events"}
        for table, ds in after:
            name = table.partition("/")[0]
            age = (LAST - ds).days
            assert age < getattr(kept, kinds.get(name, name)) or (table, ds) in needed or served is not None
        for ds in {LAST, *map(day, backs)}:
            stays = (LAST - ds).days < short or ds in in_use.runs
            assert (own.models / "pepnet" / f"ds={ds}").exists() == stays
            assert (own.lake / "encoded" / SERVICES[0] / f"ds={ds}").exists() == stays
            judged = ("events", ds) in after
            assert (own.lake / "verdicts/events" / f"ds={ds}.json").exists() == (
                judged or (LAST - ds).days < short
            )


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Ninety days back there is one old day; every kind keeps thirty."""
    return make(tmp_path / "home", [LAST, day(90)], retained(30, tiles=40, events=40), SPLIT)


def test_logs_go_by_the_wall_clock_and_pulled_models_in_production_stay(home: Settings) -> None:
    for ds in (OLD, YOUNG):
        file(home.requests / f"ds={ds}" / "1.jsonl")
        file(home.runs / "consistency" / f"ds={ds}.json")
    for name in ("pepnet-v1.0.0", "pepnet-v2.0.0"):
        file(home.runs / "pulled" / name / "model.safetensors")
    log = home.home / "airflow" / "logs" / "dag_id=x" / "run_id=y" / "task_id=z" / "attempt=1.log"
    file(log)
    in_use = InUse(versions=("pepnet-v2.0.0",))

    soon = [own.path.name for own in removals(home, in_use, TODAY) if own.kind in ("requests", "runs")]
    assert soon == [f"ds={OLD}", f"ds={OLD}.json"]  # files that were just written are young

    take(home, removals(home, in_use, date(2100, 1, 1)))
    assert contents(home.requests) | contents(home.runs / "consistency") == set()
    assert contents(home.runs / "pulled") == {"pepnet-v2.0.0/model.safetensors"}
    assert not log.exists()
    assert contents(home.models) == {f"pepnet/ds={LAST}/model.safetensors"}


def test_lineage_goes_by_when_it_was_last_written_and_that_of_runs_in_use_stays(
    home: Settings, tmp_path: Path
) -> None:
    elsewhere = Settings(home=home.home, raw=None, lineage=str(tmp_path / "events"))
    for own, folder in ((home, home.runs / "lineage"), (elsewhere, tmp_path / "events")):
        for ds in (day(90), day(91), day(92)):
            file(folder / f"ds={ds}.jsonl")
        file(folder / "notes.jsonl")
        keeps = home.params.retention.lineage
        written = datetime.combine(TODAY - timedelta(days=keeps), time(), tzinfo=UTC).timestamp()
        os.utime(folder / f"ds={day(91)}.jsonl", (written, written))
        os.utime(folder / f"ds={day(92)}.jsonl", (written, written))
        take(own, removals(own, InUse(runs={day(92)}), TODAY))
        left = {"notes.jsonl", f"ds={day(90)}.jsonl", f"ds={day(92)}.jsonl"}
        assert contents(folder) == left, "what was written lately stays, whatever its day"
    off = Settings(home=home.home, raw=None, lineage="off")
    assert "lineage" not in {going.kind for going in removals(off, InUse(), date(2100, 1, 1))}


def test_what_carries_no_day_is_nobodys_to_remove(home: Settings) -> None:
    for path in (home.lake / "events" / "notes" / "a.txt", home.models / "pepnet" / "mine" / "b.txt"):
        file(path)
    file(home.lake / "counts" / f"ds={day(90)}.json")
    take(home, removals(home, InUse(), TODAY))
    left = contents(home.home)
    assert {"lake/simulated/events/notes/a.txt", "models/simulated/pepnet/mine/b.txt"} <= left
    assert f"lake/simulated/counts/ds={day(90)}.json" in left


def test_leftovers_of_killed_removals_go_with_the_next(home: Settings) -> None:
    lake = Lake(home.lake)
    (lake.folder("events", day(90)) / "_manifest.json").unlink()
    file(home.models / "pepnet" / ".gone-ds=2025-01-01" / "model.safetensors")
    take(home, removals(home, InUse(), TODAY))
    assert not lake.folder("events", day(90)).exists()
    assert contents(home.models) == {f"pepnet/ds={LAST}/model.safetensors"}


def test_folder_that_is_there_again_after_a_kill_can_be_removed_again(tmp_path: Path) -> None:
    file(tmp_path / ".gone-a" / "old")
    file(tmp_path / "a" / "new")
    remove_folder(tmp_path / "a")
    assert contents(tmp_path) == set()
