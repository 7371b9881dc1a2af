"""The packed online store and its engine beside Feast's own SQLite store and engine, one after the other.

    make bench-stores

Both serve the same made-up snapshots of KuaiRand-Pure's size through the same `materialize` and the
same lookup. Prints a table and writes benchmarks/results/stores.json.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.reporting import write_results
from features.declarations.features import DType
from features.declarations.groups import Profile, View
from features.serving.lookup import FeatureLookup
from features.store import CONFIG, apply, open_store
from pipelines.days import DAY, first_instant, snapshot_instant
from pipelines.lake import Lake
from pipelines.materialize import materialize
from pipelines.settings import CHECKOUT, Settings
from pipelines.verdicts import Verdict, write_verdict

IDS = {"user": 27_000, "item": 7_500, "scenario": 15, "author": 6_500, "tag": 60}
ROWS = {
    "user_engagement": 20_000, "item_engagement": 7_000, "scenario_engagement": 15,
    "user_scenario_engagement": 25_000, "item_scenario_engagement": 14_000, "author_engagement": 6_000,
    "user_tag_engagement": 20_000, "user_author_engagement": 20_000, "user_positives": 12_000,
    "user_profile": 27_000, "item_profile": 7_500,
}  # fmt: skip
DS = date(2022, 5, 8)
REPEATS = 50


LOOKUP_ITEMS = (1, 10, 100, 1000)


def main() -> None:
    packed, feast = _measured(own=True), _measured(own=False)
    ratios = {
        "materialize_vs_feast": feast["materialize, s"] / packed["materialize, s"],
        "next_day_vs_feast": feast["materialize the next day, s"] / packed["materialize the next day, s"],
        "bytes_vs_feast": feast["database, MB"] / packed["database, MB"],
    } | {f"lookup_{count}_vs_feast": feast[_median(count)] / packed[_median(count)] for count in LOOKUP_ITEMS}
    _report(packed, feast, ratios)


def _measured(*, own: bool) -> dict[str, float]:
    """Seconds, megabytes and milliseconds of one kind of store, in a home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(Path(folder))
        os.environ.pop("FEAST_FS_YAML_FILE_PATH", None)
        if not own:
            os.environ["FEAST_FS_YAML_FILE_PATH"] = str(_feast_sqlite(Path(folder)))
        results = {"rows": float(_write_lake(settings))}
        with _timed(results, "apply, s"):
            apply(open_store(settings.home), settings.catalog, settings.lake)
        for what, ds in (
            ("materialize, s", DS - DAY),
            ("materialize the next day, s", DS),
            ("materialize again, s", DS),
        ):
            with _timed(results, what):
                materialize(settings, ds)
        files = (settings.home / "feast").glob("online.db*")
        results["database, MB"] = sum(file.stat().st_size for file in files) / 1e6
        return results | _lookups(settings)


def _median(count: int) -> str:
    return f"lookup of {count} items, p50 ms"


def _settings(home: Path) -> Settings:
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    (home / "params.yaml").write_text(yaml.safe_dump(params | {"dataset": "kuairand-pure"}), encoding="utf-8")
    return Settings(home=home)


def _feast_sqlite(folder: Path) -> Path:
    """Settings like the committed ones, with Feast's own online store and engine."""
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    settings["online_store"]["type"] = "sqlite"
    del settings["batch_engine"]
    path = folder / "feast_sqlite.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def _write_lake(settings: Settings) -> int:
    """Two days of validated snapshots; the row count of the last."""
    lake, random = Lake(settings.lake), np.random.default_rng(7)
    for view in settings.catalog.views:
        for ds in [None] if isinstance(view, Profile) else [DS - DAY, DS]:
            with lake.staging() as staged:
                pq.write_table(_snapshot(view, ds, random), staged / "part.parquet")
                manifest = lake.publish(f"features/{view.name}", ds, [staged / "part.parquet"], {})
            passed = Verdict(
                table=manifest.table, ds=manifest.ds, content=manifest.content, passed=True, checks=1
            )
            write_verdict(lake, passed)
    return sum(ROWS.values())


def _snapshot(view: View, ds: date | None, random: np.random.Generator) -> pa.Table:
    rows = ROWS[view.name]
    sizes = [IDS[key.name] for key in view.keys]
    keys = np.unravel_index(np.sort(random.choice(np.prod(sizes), rows, replace=False)), sizes)
    instant = first_instant(date(2022, 4, 24)) if ds is None else snapshot_instant(ds)
    times = pa.array([instant] * rows, pa.timestamp("us", "UTC"))
    columns = {key.column: pa.array(ids.astype(str)) for key, ids in zip(view.keys, keys, strict=True)}
    columns |= {"event_timestamp": times, "created_timestamp": times}
    columns |= {feature.name: _values(feature.dtype, rows, random) for feature in view.features}
    for link in view.links if isinstance(view, Profile) else ():
        columns[link.column] = pa.array(random.integers(0, IDS[link.name], rows).astype(str))
    return pa.table(columns)


def _values(dtype: DType, rows: int, random: np.random.Generator) -> pa.Array:
    each = 10
    offsets = np.arange(0, (rows + 1) * each, each, dtype=np.int32)
    match dtype:
        case DType.FLOAT:
            return pa.array(random.random(rows, np.float32))
        case DType.INT:
            return pa.array(random.integers(0, 1000, rows))
        case DType.STRING:
            return pa.array(random.integers(0, 50, rows).astype(str))
        case DType.STRINGS:
            return pa.ListArray.from_arrays(offsets, random.integers(0, 7_500, rows * each).astype(str))
        case DType.INTS:
            return pa.ListArray.from_arrays(offsets, random.integers(0, 10**15, rows * each))


def _lookups(settings: Settings) -> dict[str, float]:
    """Median and 99th percentile of looking a user and so many items up, milliseconds."""
    random = np.random.default_rng(7)
    lookup = FeatureLookup(open_store(settings.home), settings.catalog, "ranker_v1")
    results = {}
    for count in LOOKUP_ITEMS:
        taken = []
        for _ in range(REPEATS):
            items = random.choice(IDS["item"], count, replace=False).astype(str).tolist()
            user = str(random.integers(IDS["user"]))
            begun = time.perf_counter()
            lookup.batch(scenario="1", user=user, items=items)
            taken.append((time.perf_counter() - begun) * 1e3)
        results[_median(count)] = float(np.percentile(taken, 50))
        results[f"lookup of {count} items, p99 ms"] = float(np.percentile(taken, 99))
    return results


@contextlib.contextmanager
def _timed(results: dict[str, float], name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    results[name] = time.perf_counter() - begun


def _report(packed: dict[str, float], feast: dict[str, float], ratios: dict[str, float]) -> None:
    table = Table("", "packed", "Feast's SQLite store and engine")
    for what, value in packed.items():
        table.add_row(what, f"{value:,.2f}", f"{feast[what]:,.2f}")
    table.add_section()
    for what, ratio in ratios.items():
        table.add_row(what, f"{ratio:.1f}", "1")
    Console().print(table)
    write_results("stores", {"packed": packed, "feast": feast, "ratios": ratios}, packages=["feast"])


if __name__ == "__main__":
    main()
