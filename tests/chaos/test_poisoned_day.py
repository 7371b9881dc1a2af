"""A poisoned day is stopped by its gate, and lookups still serve the day before."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from random import Random

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.days import DAY, Days
from pipelines.lake import Lake
from pipelines.settings import Settings
from tests.chaos.bad_data.days import good_rows
from tests.chaos.commands import Nursery
from tests.chaos.own_log import make_own_home

pytestmark = [pytest.mark.e2e, pytest.mark.spark]

LOOKUP = ("lookup", "--user", "user 3", "--scenario", "home", "--item", "sku-1", "--item", "sku-2")
GOOD = Days(start=date(2026, 3, 1), end=date(2026, 3, 4))
POISONED = GOOD.end + DAY
DS = str(POISONED)


@dataclass(frozen=True)
class Road:
    """A home with a log, and the real `gatehouse` commands in it, in child processes.

    Attributes:
        settings: of the home.
        nursery: starts the commands.
        session: environment that names the Spark session they share.
    """

    settings: Settings
    nursery: Nursery
    session: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        """Run a command that must end well; what it said."""
        status, said = self.end(*arguments)
        assert status == 0, f"gatehouse {' '.join(arguments)} ended with {status}\n{said}"
        return said

    def end(self, *arguments: str) -> tuple[int, str]:
        """Run a command; its exit code, and what it said in one line."""
        command = self.nursery.start(self.settings.home, *arguments, environment=self.session)
        return command.wait(), " ".join(command.said.split())

    def write(self, ds: date, log: pd.DataFrame) -> None:
        log.to_csv(self.settings.home / "log" / f"{ds}.csv", index=False)


@pytest.fixture(scope="module")
def served_road(nursery: Nursery, session: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Road:
    """Good days, ingested, validated, aggregated and served. Copy it before changing it."""
    road = Road(make_own_home(tmp_path_factory.mktemp("road") / "home", GOOD), nursery, session)
    for ds in GOOD:
        road.write(ds, log_of(ds))
    for command in ("ingest", "validate events", "aggregate", "validate features", "materialize"):
        road.run(*command.split())
    return road


@pytest.fixture
def road(served_road: Road, tmp_path: Path) -> Road:
    """A copy of the served road, free to be changed."""
    home = shutil.copytree(served_road.settings.home, tmp_path / "road", symlinks=True)
    return replace(served_road, settings=Settings(home=home))


def log_of(ds: date, rows: int = 400) -> pd.DataFrame:
    return good_rows(ds, Random(ds.toordinal()), rows)


def rename_column(log: pd.DataFrame) -> pd.DataFrame:
    return log.rename(columns={"clicked": "was_clicked"})


def null_labels(log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(clicked=pd.NA)


def test_log_that_cannot_be_read_is_stopped_and_the_day_before_is_served(road: Road) -> None:
    before = road.run(*LOOKUP)
    road.write(POISONED, rename_column(log_of(POISONED)))
    require_stopped(road, "ingest", 1, f"{DS}.csv", "clicked", "was_clicked")
    assert road.run(*LOOKUP) == before


def test_poison_is_stopped_at_each_gate_until_the_day_is_mended(road: Road) -> None:
    """Wrong features, then wrong labels, then a good log."""
    before = road.run(*LOOKUP)
    road.write(POISONED, log_of(POISONED))
    for command in ("ingest", "validate events", "aggregate"):
        road.run(*command.split(), "--ds", DS)
    spoil_rates(Lake(road.settings.lake), "features/item_engagement")
    require_stopped(road, "validate features", 3, "features/item_engagement", DS, "click_rate_1d", "sku-7")
    require_stopped(road, "materialize", 3, "validate features")
    assert road.run(*LOOKUP) == before

    road.write(POISONED, null_labels(log_of(POISONED)))
    road.run("ingest", "--ds", DS)
    require_stopped(road, "validate events", 3, "events", DS, "label_click")
    require_stopped(road, "aggregate", 3, "validate events")
    assert road.run(*LOOKUP) == before

    road.write(POISONED, log_of(POISONED, rows=401))
    for command in ("ingest", "validate events", "aggregate", "validate features", "materialize"):
        road.run(*command.split(), "--ds", DS)
    assert DS in Path(road.settings.home / "feast" / "served.json").read_text(encoding="utf-8")


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
