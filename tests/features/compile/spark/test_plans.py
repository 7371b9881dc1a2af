"""What Spark is asked to do for every declared view: built-in expressions only, under adaptive execution."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from features.declarations import kuairand_pure, movielens_100k, simulated
from features.declarations.catalog import Catalog
from features.declarations.groups import Aggregate
from tests.features.compile.spark.logs import FIRST

pytestmark = [pytest.mark.spark, pytest.mark.slow]

VIEWS = [
    pytest.param(catalog, group, id=f"{catalog.dataset}-{group.name}")
    for catalog in (kuairand_pure.CATALOG, movielens_100k.CATALOG, simulated.CATALOG)
    for group in catalog.aggregates
]
# A row that leaves the JVM, or is made of Java objects on the way, shows as one of these.
LEFT_TO_PYTHON = re.compile(
    r"Python|ArrowEval|BatchEval|InPandas|InArrow|FlatMapGroups|ExistingRDD|MapElements"
)
TableOf = Callable[[Any], Any]


@pytest.fixture
def table_of(spark: Any, tmp_path: Path) -> TableOf:
    """A table of some schema on the disk, so that the optimizer cannot know that it is empty."""

    def read(schema: Any) -> Any:
        folder = str(tmp_path / f"table-{len(list(tmp_path.iterdir()))}")
        spark.createDataFrame([], schema).write.parquet(folder)
        return spark.read.schema(schema).parquet(folder)

    return read


def plan_of(frame: Any) -> str:
    return str(frame._jdf.queryExecution().executedPlan().toString())


@pytest.mark.parametrize(("catalog", "group"), VIEWS)
def test_plans_of_a_declared_view_are_adaptive_and_free_of_python(
    spark: Any, table_of: TableOf, catalog: Catalog, group: Aggregate
) -> None:
    from features.compile.spark import event_schema, snapshots, tile_schema, tiles

    events, group_tiles = table_of(event_schema(catalog)), table_of(tile_schema(group))
    frames = {
        "tiles": tiles(group, events),
        "snapshots": snapshots(group, group_tiles, events, FIRST, FIRST + timedelta(days=1)),
    }
    assert set(frames["tiles"].columns) == set(tile_schema(group).fieldNames())
    for name, frame in frames.items():
        plan = plan_of(frame)
        assert plan.startswith("AdaptiveSparkPlan"), f"{name}:\n{plan}"
        assert "Exchange" in plan, f"{name} is not worth looking at:\n{plan}"
        found = LEFT_TO_PYTHON.search(plan)
        assert found is None, f"{name} has {found}:\n{plan}"


def test_session_plans_adaptively_and_splits_what_is_skewed(spark: Any) -> None:
    assert spark.conf.get("spark.sql.adaptive.enabled") == "true"
    assert spark.conf.get("spark.sql.adaptive.skewJoin.enabled") == "true"
