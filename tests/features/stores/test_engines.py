"""The oracle, DuckDB and Spark on the same random tables, equal to the last bit."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from features.stores import spark_point_in_time
from features.stores.point_in_time import join
from features.stores.spark_point_in_time import join_views
from features.stores.spark_retrieval import SparkRetrievalJob
from features.stores.spark_slices import hot_keys
from features.stores.spark_spine import INSTANT, load_spark_spine
from features.stores.views import Column, ViewColumns
from pipelines.lake import Lake
from tests.features.stores.tables import (
    START,
    TTLS,
    At,
    Row,
    newest_known,
    publish,
    random_rows,
    random_spines,
    spine_of,
    view_of,
    write_rows,
)
from tests.spark_conf import COALESCED, PARTITIONS, changed

pytestmark = pytest.mark.spark

Kind = TypeVar("Kind", Row, At)
DAY = timedelta(days=1)
cases = st.lists(st.tuples(random_rows, random_spines), min_size=20, max_size=20)


def views_of(folder: Path) -> tuple[ViewColumns, ...]:
    """One view for each TTL, all over the same table."""
    return tuple(
        dataclasses.replace(
            view_of(folder, ttl),
            columns=(Column("value", f"value_{number}", "FLOAT"),),
            name=f"view_{number}",
        )
        for number, ttl in enumerate(TTLS)
    )


def on_spark(spark: Any, spine: pa.Table, views: tuple[ViewColumns, ...]) -> pa.Table:
    def frame() -> tuple[Any, Any]:
        loaded = load_spark_spine(spark, spine)
        return join_views(spark, loaded, views), loaded.batches

    return SparkRetrievalJob(frame).to_arrow()


def bits(table: pa.Table) -> list[list[int | None]]:
    """The features as the bits of their float32."""
    columns = [table[f"value_{number}"].combine_chunks() for number in range(len(TTLS))]
    assert all(column.type == pa.float32() for column in columns)
    return [
        [
            bit if valid else None
            for bit, valid in zip(
                column.fill_null(0.0).view(pa.int32()).to_pylist(), column.is_valid().to_pylist(), strict=True
            )
        ]
        for column in columns
    ]


def expected(spine: list[At], rows: list[Row]) -> pa.Table:
    return pa.table(
        {
            f"value_{number}": pa.array([newest_known(at, rows, ttl) for at in spine], pa.float32())
            for number, ttl in enumerate(TTLS)
        }
    )


def of_case(case: int, one: Kind) -> Kind:
    return one if one.user is None else dataclasses.replace(one, user=f"{case}/{one.user}")


@settings(max_examples=3)
@given(cases=cases)
def test_engines_equal_brute_force_when_keys_ties_late_rows_and_ttls_are_random(
    spark: Any, cases: list[tuple[list[Row], list[At]]]
) -> None:
    """Twenty cases share one table, each with users of its own, as starting Spark's jobs is what costs."""
    table = [of_case(case, row) for case, (rows, _) in enumerate(cases) for row in rows]
    spine = [of_case(case, at) for case, (_, spine) in enumerate(cases) for at in spine]
    truth = bits(expected(spine, table))
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        write_rows(lake, "t", table)
        views = views_of(lake.root / "t")
        duck = pa.concat_tables(join(spine_of(spine), views, chunk=50))
        sparks = on_spark(spark, spine_of(spine), views)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(spark_point_in_time, "FEW_FLOATS", 0)
            packed = on_spark(spark, spine_of(spine), views)
    for answer in (duck, sparks, packed):
        assert answer.select(range(3)).equals(spine_of(spine))
        assert bits(answer) == truth


def test_many_floats_among_others_come_back_each_in_its_column(spark: Any, tmp_path: Path) -> None:
    floats = [f"float_{number}" for number in range(spark_point_in_time.FEW_FLOATS + 1)]
    values = {name: pa.array([float(number), None], pa.float32()) for number, name in enumerate(floats)}
    values |= {"text": pa.array(["a", "b"]), "count": pa.array([None, 7])}
    keys = {"user_id": ["u", "v"], "item_id": ["i", "i"]}
    times = {
        name: pa.array([START, START], pa.timestamp("us", "UTC"))
        for name in ("event_timestamp", "created_timestamp")
    }
    publish(Lake(tmp_path), "t", START.date(), pa.table(keys | times | values))
    kinds = dict.fromkeys(floats, "FLOAT") | {"text": "VARCHAR", "count": "BIGINT"}
    order = [*floats[:3], "text", *floats[3:], "count"]
    columns = tuple(Column(name, name, kinds[name]) for name in order)
    view = dataclasses.replace(view_of(tmp_path / "t", DAY), columns=columns)
    spine = spine_of([At("v", "i", START), At("u", "i", START + DAY), At("u", "i", START - DAY)])
    result = on_spark(spark, spine, (view,))
    assert result.equals(pa.concat_tables(join(spine, (view,))))
    assert result.select(order).slice(1, 1).to_pylist() == [{name: values[name][0].as_py() for name in order}]


def test_rows_that_can_match_nothing_are_dealt_out_to_all_tasks(spark: Any, tmp_path: Path) -> None:
    write_rows(Lake(tmp_path), "t", [Row("u", "i", START, START, 1.0)])
    hopeless = [At(None, "i", START + n * DAY) for n in range(100)] + [At(None, "i", None)]
    with changed(spark, {PARTITIONS: "4", COALESCED: "false"}):
        frame = spark.createDataFrame(spine_of([*hopeless, At("u", "i", START)]))
        loaded = load_spark_spine(spark, frame.withColumn("shown", F.create_map(F.lit("place"), F.lit(1))))
        joined = join_views(spark, loaded, (view_of(tmp_path / "t", DAY),))
        rows = joined.select("value", F.spark_partition_id().alias("task")).collect()
    assert Counter(row.value for row in rows) == {None: 101, 1.0: 1}
    assert max(Counter(row.task for row in rows).values()) < 60


def test_hot_keys_are_cut_into_slices_and_the_answer_stays(spark: Any, tmp_path: Path) -> None:
    chance = random.Random(7)

    def instant() -> Any:
        return START + chance.randrange(20) * DAY / 10

    def user() -> str:
        return "hot" if chance.random() < 0.4 else str(chance.randrange(100))

    rows = [
        Row(user(), "i", event, event + chance.randrange(3) * DAY, float(n))
        for n, event in enumerate(sorted(instant() for _ in range(400)))
    ]
    spine = [At(user(), "i", instant()) for _ in range(400)] + [At("hot", None, None)] * 3
    write_rows(Lake(tmp_path), "t", rows)
    with changed(spark, {PARTITIONS: "5"}):
        keys = load_spark_spine(spark, spine_of(spine)).frame.selectExpr("user_id k0", f"{INSTANT} at")
        hot = hot_keys(spark, keys, keys, ["k0"])
        assert hot is not None
        assert [row.k0 for row in hot.collect()] == ["hot"]
        result = on_spark(spark, spine_of(spine), views_of(tmp_path / "t"))
    assert bits(result) == bits(expected(spine, rows))
