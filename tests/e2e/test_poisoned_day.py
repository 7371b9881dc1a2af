"""A poisoned day is stopped by its gate, and lookups still serve the day before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.days import Days
from pipelines.lake import Lake
from tests.e2e.conftest import POISONED, Road, day_of_log, write_day

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark]

LOOKUP = ("lookup", "--user", "user 3", "--scenario", "home", "--item", "sku-1", "--item", "sku-2")
DS = str(POISONED)
Poison = Callable[[pd.DataFrame], pd.DataFrame]


def rename_column(log: pd.DataFrame) -> pd.DataFrame:
    return log.rename(columns={"clicked": "was_clicked"})


def null_labels(log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(clicked=pd.NA)


def ten_times_the_rows(log: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([log.assign(at=log["at"] + offset) for offset in range(10)])


@pytest.mark.parametrize(
    ("poison", "stopped_by", "exit_code", "said"),
    [
        (rename_column, "ingest", 1, [f"{DS}.csv", "clicked", "was_clicked"]),
        (null_labels, "validate events", 3, ["events", DS, "label_click"]),
        (ten_times_the_rows, "validate events", 3, ["events", DS, "4000", "rows"]),
    ],
)
def test_poisoned_log_is_stopped_and_the_day_before_is_served(
    road: Road, poison: Poison, stopped_by: str, exit_code: int, said: list[str]
) -> None:
    before = road.run(*LOOKUP)
    write_day(road.home, POISONED, poison(day_of_log(POISONED)))
    if stopped_by != "ingest":
        road.run("ingest", "--ds", DS)
    code, message = road.fail(*stopped_by.split(), "--ds", DS)
    assert code == exit_code
    for words in said:
        assert words in message
    if stopped_by != "ingest":
        code, message = road.fail("aggregate", "--ds", DS)
        assert code == 3
        assert "validate events" in message
    assert road.run(*LOOKUP) == before


def test_feature_out_of_its_range_is_stopped_and_the_day_before_is_served(road: Road) -> None:
    before = road.run(*LOOKUP)
    write_day(road.home, POISONED, day_of_log(POISONED))
    for command in ("ingest", "validate events", "aggregate"):
        road.run(*command.split(), "--ds", DS)
    spoil_rates(Lake(road.settings.lake), "features/item_engagement")
    code, message = road.fail("validate", "features", "--ds", DS)
    assert code == 3
    for words in ("features/item_engagement", DS, "click_rate_1d", "sku-7"):
        assert words in message
    code, message = road.fail("materialize", "--ds", DS)
    assert code == 3
    assert road.run(*LOOKUP) == before


def test_mended_day_goes_on_where_it_was_stopped(road: Road) -> None:
    write_day(road.home, POISONED, null_labels(day_of_log(POISONED)))
    road.run("ingest", "--ds", DS)
    road.fail("validate", "events", "--ds", DS)
    write_day(road.home, POISONED, day_of_log(POISONED))
    for command in ("ingest", "validate events", "aggregate", "validate features", "materialize"):
        road.run(*command.split(), "--ds", DS)
    assert DS in Path(road.home / "feast" / "served.json").read_text(encoding="utf-8")


def spoil_rates(lake: Lake, table: str) -> None:
    """Set one item's click rate to 1.7, as a wrong aggregation might."""
    [path] = lake.files(table, Days.one(POISONED))
    rows = pq.read_table(path)
    wrong = pc.if_else(
        pc.equal(rows["item_id"], "sku-7"), pa.scalar(1.7, pa.float32()), rows["click_rate_1d"]
    )
    spoilt = rows.set_column(rows.schema.get_field_index("click_rate_1d"), "click_rate_1d", wrong)
    with lake.staging() as staged:
        pq.write_table(spoilt, staged / "0.parquet")
        lake.publish(table, POISONED, [staged / "0.parquet"], lake.manifest(table, POISONED).inputs)
