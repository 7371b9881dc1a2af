"""A road on somebody's own CSV log: the real commands in child processes, which share a Spark session."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from pipelines.settings import CHECKOUT, Settings
from tests.chaos.commands import Nursery

FIRST = date(2026, 3, 1)
LAST_GOOD = FIRST + timedelta(days=5)
POISONED = LAST_GOOD + timedelta(days=1)
MAPPING = {
    "events": {
        "path": "log/*.csv",
        "user": "uid",
        "item": "sku",
        "time": "at",
        "scenario": "page",
        "time_unit": "ms",
    },
    "labels": {
        "click": {"column": "clicked", "prior": 0.3},
        "buy": {"column": "paid", "at_least": 0.01, "prior": 0.1},
    },
    "users": {"path": "users.csv", "id": "uid", "categories": ["country"], "numbers": ["age"]},
    "items": {"path": "items.csv", "id": "sku", "categories": ["kind"], "numbers": ["price"]},
    "windows": [1, 3],
    "sequence_length": 5,
}


@dataclass(frozen=True)
class Road:
    """A home folder with a log, and the `gatehouse` command in it.

    Attributes:
        home: the folder.
        nursery: starts the commands.
        session: environment that names the Spark session they share.
    """

    home: Path
    nursery: Nursery
    session: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def run(self, *arguments: str) -> str:
        """Run a command that must end well; returns what it printed."""
        status, said = self.end(*arguments)
        assert status == 0, f"gatehouse {' '.join(arguments)} ended with {status}\n{said}"
        return said

    def end(self, *arguments: str) -> tuple[int, str]:
        """Run a command; its exit code, and what it said in one line."""
        command = self.nursery.start(self.home, *arguments, environment=self.session)
        return command.wait(), " ".join(command.said.split())

    def copy(self, into: Path) -> Road:
        return replace(self, home=Path(shutil.copytree(self.home, into, symlinks=True)))


def day_of_log(ds: date, rows: int = 400) -> pd.DataFrame:
    """A plausible day: items differ in quality, pages in how much is clicked."""
    rng = np.random.default_rng(ds.toordinal())
    users, items = rng.integers(0, 40, rows), rng.integers(0, 25, rows)
    pages = rng.choice(["home", "search", "sale"], rows, p=[0.6, 0.3, 0.1])
    probability = 0.15 + 0.5 * (items / 25) * np.where(pages == "home", 0.6, 1.0)
    clicked = (rng.random(rows) < probability).astype(int)
    start = int(pd.Timestamp(ds, tz="UTC").timestamp() * 1000)
    return pd.DataFrame(
        {
            "uid": [f"user {user}" for user in users],
            "sku": [f"sku-{item}" for item in items],
            "page": pages,
            "at": start + np.sort(rng.choice(86_400_000, rows, replace=False)),
            "clicked": clicked,
            "paid": np.where(clicked & (rng.random(rows) < 0.4), 9.99, 0.0),
        }
    )


def write_day(home: Path, ds: date, log: pd.DataFrame) -> None:
    log.to_csv(home / "log" / f"{ds}.csv", index=False)


def serve_six_days(home: Path, nursery: Nursery, session: Mapping[str, str]) -> Road:
    """Six good days, ingested, validated, aggregated and served from the folder `home`."""
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    params["dataset"] = "custom"
    params["datasets"]["custom"] = {
        "days": {"start": str(FIRST), "end": str(LAST_GOOD)},
        "split": {"train": 3, "validation": 1, "test": 1},
        "mapping": "mapping.yaml",
    }
    params["train"] |= {"epochs": 3, "batch_size": 64, "embedding_dim": 4, "hidden": [16, 8]}
    (home / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (home / "mapping.yaml").write_text(yaml.safe_dump(MAPPING), encoding="utf-8")
    (home / "log").mkdir()
    for offset in range((LAST_GOOD - FIRST).days + 1):
        ds = FIRST + timedelta(days=offset)
        write_day(home, ds, day_of_log(ds))
    people = {"uid": [f"user {n}" for n in range(40)], "country": ["se", "de"] * 20, "age": range(20, 60)}
    pd.DataFrame(people).to_csv(home / "users.csv", index=False)
    things = {
        "sku": [f"sku-{n}" for n in range(25)],
        "kind": ["a", "b", "c", "d", "e"] * 5,
        "price": range(25),
    }
    pd.DataFrame(things).to_csv(home / "items.csv", index=False)
    road = Road(home, nursery, session)
    for command in ("ingest", "validate events", "aggregate", "validate features", "materialize"):
        road.run(*command.split())
    return road
