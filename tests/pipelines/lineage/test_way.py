from __future__ import annotations

from datetime import date

import pytest
from rich.console import Console

from pipelines.errors import LineageError
from pipelines.lineage.show import print_lineage
from pipelines.lineage.tree import draw
from pipelines.lineage.way import Way, read_record, way_to
from pipelines.reporting.blocks import Table
from pipelines.reporting.lineage import lineage
from pipelines.settings import Settings
from tests.pipelines.observed_road import DS, ingest, publish
from tests.training.rows import training_rows


def test_the_way_from_a_published_version_reaches_the_raw_log(walked: Settings) -> None:
    way = _way(walked)
    assert list(way.steps) == ["ingest", "aggregate", "assemble", "train.pepnet", "evaluate", "publish"]
    [raw] = way.steps["ingest"].feeds
    assert (raw.kind, raw.parts[0].name, raw.makers) == ("raw/simulated", "raw/simulated/log.csv", ())
    assert all(feed.makers for job, step in way.steps.items() if job != "ingest" for feed in step.feeds)


def test_the_way_tells_which_gate_let_what_through(walked: Settings) -> None:
    feeds = {feed.kind: feed for feed in _way(walked).steps["assemble"].feeds}
    for kind in ("lake/simulated/events", "lake/simulated/features"):
        assert feeds[kind].passed == len(feeds[kind].parts) > 0


def test_the_way_of_a_version_stays_what_it_was_when_the_log_is_ingested_anew(settings: Settings) -> None:
    before = _way(settings)
    ingest(settings, training_rows(settings.catalog, rows=1000, seed=9), raw="e" * 64)
    after = _way(settings)
    assert after.steps["ingest"].feeds[0].parts[0].content == "f" * 16
    assert [run.id for run in after.steps["aggregate"].runs] == [
        run.id for run in before.steps["aggregate"].runs
    ]


def test_the_tree_names_every_stage_and_draws_it_once(walked: Settings) -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(draw(_way(walked)))
    text = shown.get()
    assert text.splitlines()[0].startswith("pepnet@v1.0.0  ")
    for job in ("publish", "evaluate", "train.pepnet", "assemble", "aggregate", "ingest"):
        drawn = [line for line in text.splitlines() if f"── {job} " in line]
        assert sum("see above" not in line for line in drawn) == 1


def test_lineage_shows_the_newest_version_unless_one_is_named(settings: Settings, capsys) -> None:
    publish(settings, "v2.0.0")
    capsys.readouterr()
    for asked, shown in (("pepnet", "v2.0.0"), ("pepnet@v1", "v1.0.0"), ("pepnet@v2.0.0", "v2.0.0")):
        print_lineage(settings, asked)
        assert capsys.readouterr().out.startswith(f"pepnet@{shown}")
    print_lineage(settings, "pepnet", DS)
    assert capsys.readouterr().out.startswith(f"models/simulated/pepnet/ds={DS}")


@pytest.mark.parametrize(
    ("asked", "ds", "message"),
    [
        ("pepnet@v7.0.0", None, "no run on record published pepnet@v7.0.0"),
        ("star", None, "no run on record published star"),
        ("pepnet", date(2026, 1, 2), "gatehouse train pepnet --ds 2026-01-02"),
    ],
)
def test_lineage_says_what_is_not_on_record(
    walked: Settings, asked: str, ds: date | None, message: str
) -> None:
    with pytest.raises(LineageError, match=message):
        print_lineage(walked, asked, ds)


def test_lineage_says_so_when_it_is_off(walked: Settings) -> None:
    with pytest.raises(LineageError, match="GATEHOUSE_LINEAGE is off"):
        print_lineage(Settings(home=walked.home, lineage="off"), "pepnet")


def test_the_report_tells_the_way_of_the_model_that_may_be_published(walked: Settings) -> None:
    tables = [own for own in lineage(walked, DS).blocks if isinstance(own, Table)]
    [way] = [own for own in tables if own.caption.startswith("How pepnet came to be")]
    assert [group.heading for group in way.groups] == ["ingest", "aggregate", "assemble", "train.pepnet"]


def _way(settings: Settings) -> Way:
    record = read_record(settings)
    [goal] = record.written("registry/simulated/pepnet@v1.0.0")
    return way_to(record, goal)
