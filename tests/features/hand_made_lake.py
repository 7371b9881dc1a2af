"""A lake of snapshots written by hand from a catalog: random but seeded values, some of them null."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from features.declarations.catalog import Catalog
from features.declarations.entities import Entity
from features.declarations.features import DType
from features.declarations.groups import Profile, View
from features.stores.arrow_types import ARROW_TYPES
from pipelines.days import Days, first_instant, snapshot_instant
from pipelines.lake import Lake
from pipelines.settings import CHECKOUT, Settings
from pipelines.verdicts import Verdict, write_verdict

_ELEMENTS: dict[DType, Callable[[random.Random], Any]] = {
    DType.STRINGS: lambda random_: f"item-{random_.randrange(9)}",
    DType.INTS: lambda random_: random_.randrange(10**15),
}
INSTANT = pa.timestamp("us", "UTC")


def settings_of(home: Path, dataset: str) -> Settings:
    """Settings of a home folder whose params.yaml is the checkout's, with `dataset` chosen."""
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    home.mkdir(parents=True, exist_ok=True)
    (home / "params.yaml").write_text(yaml.safe_dump(params | {"dataset": dataset}), encoding="utf-8")
    return Settings(home=home)


def write_lake(
    root: Path, catalog: Catalog, days: Days, ids: int, seed: int = 7, *, aligned: bool = False
) -> Lake:
    """Snapshots of all views for `days`, validated; each day knows a random half of the keys.

    Ids of an entity are "<entity>-0" up to `ids`; keys of two entities are all their pairs. If `aligned`, all
    lists of a row are of one length, as models want them that read several as one sequence.
    """
    lake, random_ = Lake(root), random.Random(seed)
    for view in catalog.views:
        keys = list(itertools.product(*([f"{key.name}-{n}" for n in range(ids)] for key in view.keys)))
        if isinstance(view, Profile):
            write_snapshot(lake, view, None, keys, days.start, random_, aligned=aligned)
            continue
        for ds in days:
            known = [key for key in keys if random_.random() < 0.5]
            write_snapshot(lake, view, ds, known, days.start, random_, aligned=aligned)
    return lake


def write_snapshot(
    lake: Lake, view: View, ds: date | None, keys: list[tuple[str, ...]], first: date, random_: random.Random,
    *, aligned: bool = False,
) -> None:  # fmt: skip
    """Publish one snapshot of `keys` and the verdict that it passed."""
    instant = first_instant(first) if ds is None else snapshot_instant(ds)
    times = pa.array([instant] * len(keys), INSTANT)
    columns: dict[str, pa.Array] = {
        key.column: pa.array([ids[index] for ids in keys], pa.string()) for index, key in enumerate(view.keys)
    }
    columns |= {"event_timestamp": times, "created_timestamp": times}
    lengths = [random_.randrange(4) for _ in keys] if aligned else []
    for feature in view.features:
        values = [_value(feature.dtype, random_) for _ in keys]
        if aligned and feature.dtype in _ELEMENTS:
            values = [[_ELEMENTS[feature.dtype](random_) for _ in range(length)] for length in lengths]
        columns[feature.name] = pa.array(values, ARROW_TYPES[feature.dtype])
    for link in view.links if isinstance(view, Profile) else ():
        columns[link.column] = pa.array([_link(link, random_) for _ in keys], pa.string())
    with lake.staging() as staged:
        path = staged / "part.parquet"
        pq.write_table(pa.table(columns), path)
        manifest = lake.publish(f"features/{view.name}", ds, [path], {})
    passed = Verdict(
        table=manifest.table, ds=manifest.ds, content=manifest.content, passed=True, checks=1, failures=()
    )
    write_verdict(lake, passed)


def _link(entity: Entity, random_: random.Random) -> str | None:
    return None if random_.random() < 0.2 else f"{entity.name}-{random_.randrange(3)}"


def _value(dtype: DType, random_: random.Random) -> Any:
    if random_.random() < 0.1:
        return None
    match dtype:
        case DType.FLOAT:
            return random_.random()
        case DType.INT:
            return random_.randrange(1000)
        case DType.STRING:
            return random_.choice(["", "a", "zwölf"])
        case DType.STRINGS:
            return [_ELEMENTS[dtype](random_) for _ in range(random_.randrange(4))]
        case DType.INTS:
            return [_ELEMENTS[dtype](random_) for _ in range(random_.randrange(4))]
