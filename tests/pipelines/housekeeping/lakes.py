"""Homes with partitions of many days, small enough to make one for every example."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipelines.lake import Lake
from pipelines.manifest import MANIFEST, DataFile, Manifest
from pipelines.settings import Settings
from tests.homes import TINY, make_home

LAST = date(2026, 3, 31)
SERVICES = ("ranker_v1", "ranker_intraday_v1")


def day(back: int) -> date:
    """So many days before the newest one."""
    return LAST - timedelta(days=back)


def tables(settings: Settings) -> list[str]:
    """All tables of the lake whose partitions are days."""
    views = [view.name for view in settings.catalog.aggregates]
    return [
        "events", "truth", "quarantine", *(f"tiles/{name}" for name in views),
        *(f"features/{name}" for name in views), *(f"training_sets/{name}" for name in SERVICES),
    ]  # fmt: skip


def make(folder: Path, days: Iterable[date], retention: dict[str, int], split: dict[str, int]) -> Settings:
    """A home of the simulated log whose tables all have the same days."""
    home = make_home(
        folder, "simulated", datasets={"simulated": TINY | {"split": split}}, retention=dict(retention)
    )
    settings = Settings(home=home, raw=None)
    for ds in days:
        for table in tables(settings):
            put(Lake(settings.lake), table, ds)
        for name in SERVICES:
            file(settings.lake / "encoded" / name / f"ds={ds}" / "user.npy")
        file(settings.models / "pepnet" / f"ds={ds}" / "model.safetensors")
        file(settings.lake / "verdicts" / "events" / f"ds={ds}.json")
    return settings


def put(lake: Lake, table: str, ds: date) -> None:
    """A partition with one file, as publish leaves it, but for its rows."""
    written = DataFile(name="00000-a.parquet", sha256="a", size=1, rows=1)
    file(lake.folder(table, ds) / written.name)
    text = Manifest(table=table, ds=str(ds), files=(written,)).model_dump_json()
    (lake.folder(table, ds) / MANIFEST).write_text(text)


def file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def contents(root: Path) -> set[str]:
    """Every file below a folder, but for locks."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and "_locks" not in path.parts
    }


def retained(days: int, **others: int) -> dict[str, Any]:
    """The same retention for every kind but for some."""
    kinds = ("events", "tiles", "features", "training_sets", "encoded", "verdicts", "quarantine", "models")
    return dict.fromkeys(kinds, days) | others
