"""A poisoned day is stopped by its gate, and lookups still serve the day before."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.days import Days
from pipelines.lake import Lake
from tests.chaos.commands import Nursery
from tests.chaos.own_log import POISONED, Road, day_of_log, serve_six_days, write_day

pytestmark = [pytest.mark.e2e, pytest.mark.spark]

LOOKUP = ("lookup", "--user", "user 3", "--scenario", "home", "--item", "sku-1", "--item", "sku-2")
DS = str(POISONED)


@pytest.fixture(scope="module")
def served_road(nursery: Nursery, session: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Road:
    """Six good days, as lookups serve them. Copy it before changing it."""
    return serve_six_days(tmp_path_factory.mktemp("road"), nursery, session)


@pytest.fixture
def road(served_road: Road, tmp_path: Path) -> Road:
    """A copy of the served road, free to be changed."""
    return served_road.copy(tmp_path / "road")


def rename_column(log: pd.DataFrame) -> pd.DataFrame:
    return log.rename(columns={"clicked": "was_clicked"})


def null_labels(log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(clicked=pd.NA)


def test_log_that_cannot_be_read_is_stopped_and_the_day_before_is_served(road: Road) -> None:
    before = road.run(*LOOKUP)
    write_day(road.home, POISONED, rename_column(day_of_log(POISONED)))
    require_stopped(road, "ingest", 1, f"{DS}.csv", "clicked", "was_clicked")
    assert road.run(*LOOKUP) == before


def test_poison_is_stopped_at_each_gate_until_the_day_is_mended(road: Road) -> None:
    """Wrong features, then wrong labels, then a good log."""
    before = road.run(*LOOKUP)
    write_day(road.home, POISONED, day_of_log(POISONED))
    for command in ("ingest", "validate events", "aggregate"):
        road.run(*command.split(), "--ds", DS)
    spoil_rates(Lake(road.settings.lake), "features/item_engagement")
    require_stopped(road, "validate features", 3, "features/item_engagement", DS, "click_rate_1d", "sku-7")
    require_stopped(road, "materialize", 3, "validate features")
    assert road.run(*LOOKUP) == before

    write_day(road.home, POISONED, null_labels(day_of_log(POISONED)))
    road.run("ingest", "--ds", DS)
    require_stopped(road, "validate events", 3, "events", DS, "label_click")
    require_stopped(road, "aggregate", 3, "validate events")
    assert road.run(*LOOKUP) == before

    write_day(road.home, POISONED, day_of_log(POISONED, rows=401))
    for command in ("ingest", "validate events", "aggregate", "validate features", "materialize"):
        road.run(*command.split(), "--ds", DS)
    assert DS in Path(road.home / "feast" / "served.json").read_text(encoding="utf-8")


def require_stopped(road: Road, command: str, exit_code: int, *said: str) -> None:
    """Insist that the command ends with the code, and says so."""
    code, message = road.end(*command.split(), "--ds", DS)
    assert code == exit_code, message
    for words in said:
        assert words in message


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
