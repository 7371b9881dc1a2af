"""A log in which one item has a fifth of all events: right features, and no task with the lion's share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.declarations.catalog import Task
from features.declarations.engagement import activity, engagement
from features.declarations.entities import ITEM, USER
from features.declarations.groups import Aggregate, SequenceGroup
from features.declarations.windows import DAY, days
from tests.features.compile.spark.logs import FIRST, MIDNIGHT
from tests.features.compile.spark.stages import shuffle_reads
from tests.spark_conf import COALESCED, PARTITIONS, changed

pytestmark = [pytest.mark.spark, pytest.mark.slow]

ROWS, FILES, TASKS = 200_000, 8, 8
ITEMS, USERS = 2_000, 60_000
HOT = "hot"
CLICK = Task("click", prior=0.25)
ENGAGEMENT = engagement((ITEM,), (CLICK,), days(1, 2))
ACTIVITY = next(group for group in activity((CLICK,), days(1, 2)) if group.keys == (ITEM,))
POSITIVES = SequenceGroup("item_positives", (ITEM,), "click", (USER,), length=20, window=DAY * 2)
SECOND = FIRST + DAY
FAIR = 1.5  # times the median of all tasks; a task that met the raw events of the item would have 3 times


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of events in a few files."""
    random = np.random.default_rng(7)
    drawn = random.integers(0, ITEMS, ROWS).astype(str)
    offsets = np.sort(random.integers(0, 2 * DAY // timedelta(microseconds=1), ROWS))
    instants = pa.array(
        np.datetime64(MIDNIGHT.replace(tzinfo=None), "us") + offsets, pa.timestamp("us", "UTC")
    )
    table = pa.table(
        {
            "event_id": pa.array(np.char.mod("e%06d", random.permutation(ROWS))),
            "event_timestamp": instants,
            "created_timestamp": instants,
            "user_id": pa.array(random.integers(0, USERS, ROWS).astype(str)),
            "item_id": pa.array(np.where(random.random(ROWS) < 0.2, HOT, drawn)),
            "label_click": pa.array((random.random(ROWS) < 0.3).astype(np.int8)),
            "ds": instants.cast(pa.date32()),
        }
    )
    target = tmp_path_factory.mktemp("skewed")
    for number in range(FILES):
        pq.write_table(table.slice(number * ROWS // FILES, ROWS // FILES), target / f"{number}.parquet")
    return target


@pytest.fixture
def events(spark: Any, folder: Path) -> Iterator[Any]:
    """The log in Spark, with as many tasks to a shuffle as a small cluster has."""
    one_task_a_file = {"spark.sql.files.openCostInBytes": str(128 * 1024 * 1024)}
    with changed(spark, {PARTITIONS: str(TASKS), COALESCED: "false", **one_task_a_file}):
        yield spark.read.parquet(str(folder))


def features_of(group: Aggregate, events: Any) -> dict[str, Any]:
    """Item to its row of the second day."""
    from features.compile.spark import snapshots, tiles

    rows = snapshots(group, tiles(group, events), events, SECOND, SECOND).collect()
    found = {row.item_id: row for row in rows}
    assert len(found) == len(rows)
    return found


def oracle(folder: Path, measures: str) -> dict[str, tuple[Any, ...]]:
    """Item to measures over its raw events of both days; `recent` marks those of the second."""
    text = f"""
        SELECT item_id, {measures}
        FROM (SELECT *, ds = DATE '{SECOND}' AS recent FROM '{folder}/*.parquet') GROUP BY item_id
    """  # noqa: S608
    return {item: tuple(values) for item, *values in duckdb.sql(text).fetchall()}


def test_engagement_of_a_hot_item_is_right(events: Any, folder: Path) -> None:
    expected = oracle(
        folder,
        "count(*) FILTER (recent), count(*), coalesce(sum(label_click) FILTER (recent), 0), sum(label_click)",
    )
    found = features_of(ENGAGEMENT, events)
    assert found.keys() == expected.keys()
    assert expected[HOT][1] > 0.18 * ROWS
    for item, (recent, all_of_them, clicked_recently, clicked) in expected.items():
        row = found[item]
        assert (row.impressions_1d, row.impressions_2d) == (recent, all_of_them)
        assert row.click_rate_1d == pytest.approx((clicked_recently + 20 * 0.25) / (recent + 20))
        assert row.click_rate_2d == pytest.approx((clicked + 20 * 0.25) / (all_of_them + 20))


def test_distinct_users_of_a_hot_item_are_right(events: Any, folder: Path) -> None:
    expected = oracle(folder, "count(DISTINCT user_id), epoch_us(max(event_timestamp))")
    found = features_of(ACTIVITY, events)
    assert found.keys() == expected.keys()
    assert expected[HOT][0] > 20_000
    for item, (users, newest) in expected.items():
        assert found[item].user_distinct_2d == pytest.approx(users, rel=0.07 if item == HOT else 0.0)
        assert found[item].impression_last_time_2d == newest


def test_newest_positives_of_a_hot_item_are_right(events: Any, folder: Path) -> None:
    newest = "list(user_id ORDER BY event_timestamp DESC, event_id DESC) FILTER (label_click = 1)"
    expected = oracle(folder, newest)
    found = features_of(POSITIVES, events)
    assert {item: row.user_ids for item, row in found.items()} == {
        item: users[: POSITIVES.length] for item, (users,) in expected.items() if users
    }


@pytest.mark.parametrize("group", [ENGAGEMENT, ACTIVITY, POSITIVES], ids=lambda group: group.name)
def test_no_task_reads_the_lions_share_of_a_hot_item(spark: Any, events: Any, group: Aggregate) -> None:
    from features.compile.spark import tiles

    made = tiles(group, events)
    stages = shuffle_reads(spark, lambda: made.write.format("noop").mode("overwrite").save())
    assert stages
    for reads in stages:
        assert len(reads) == TASKS
        assert max(reads) <= FAIR * median(reads), reads


def test_grouping_raw_events_would_give_a_task_the_lions_share(spark: Any, events: Any) -> None:
    """The measure is worth its name: the same log, shuffled by item before anything was folded."""
    raw = events.repartition("item_id")
    (reads,) = shuffle_reads(spark, lambda: raw.write.format("noop").mode("overwrite").save())
    assert max(reads) > FAIR * median(reads)
