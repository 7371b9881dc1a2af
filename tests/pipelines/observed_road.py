"""A road on a few made-up rows, each stage within `stage()` as in earnest; no Spark, Feast or DVC runs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.declarations.groups import Profile
from features.serving.served import Served, ServedView, write_receipt
from pipelines.days import Days, snapshot_instant
from pipelines.evaluate import evaluate
from pipelines.files import write_whole
from pipelines.lake import Lake
from pipelines.model_files import verified_digest
from pipelines.observing.console import stage
from pipelines.settings import Settings
from pipelines.train import train
from pipelines.training_sets import rows_of, training_set
from pipelines.verdicts import Failure, Verdict, write_verdict
from tests.pipelines.assembled import DS, PARAMS, encode
from tests.training.rows import training_rows

DAYS = Days(start=date(2026, 1, 1), end=DS)
ROAD_PARAMS = PARAMS | {"train": PARAMS["train"] | {"models": {"pepnet": {}}, "epochs": 2}}
RAW = "f" * 64


def walk(settings: Settings) -> None:
    """All stages, one after the other."""
    rows = training_rows(settings.catalog, rows=1000)
    ingest(settings, rows)
    judge(settings, "events", DAYS, ["events"])
    aggregate(settings)
    judge(settings, "features", DAYS, [f"features/{view.name}" for view in settings.catalog.views])
    materialize(settings)
    assemble(settings, rows)
    judge(settings, "training", Days.one(DS), [training_set("ranker_v1")])
    train(settings, DS, "pepnet")
    evaluate(settings, DS)
    publish(settings)


def ingest(settings: Settings, rows: pa.Table, raw: str = RAW) -> None:
    lake = Lake(settings.lake)
    columns = [name for name in rows.column_names if "__" not in name]
    with stage(settings, "ingest", DAYS) as facts:
        for ds in DAYS:
            publish_part(
                lake, "events", ds, rows_of(rows, Days.one(ds)).select(columns), {"raw/log.csv": raw}
            )
        for table in ("users", "items"):
            publish_part(lake, table, None, pa.table({"id": ["1"]}), {"raw/log.csv": raw})
        facts["rows"] = rows.num_rows


def aggregate(settings: Settings) -> None:
    """Tiles and snapshots of one key; the snapshot of a day is made from its tiles and those before."""
    lake = Lake(settings.lake)
    with stage(settings, "aggregate", DAYS) as facts:
        tiles: dict[str, str] = {}
        for view in settings.catalog.views:
            table = f"features/{view.name}"
            if isinstance(view, Profile):
                publish_part(lake, table, None, one_row(0), {view.table: lake.manifest(view.table).content})
                continue
            for ds in DAYS:
                of_day = {f"events/ds={ds}": lake.manifest("events", ds).content}
                content = publish_part(lake, f"tiles/{view.name}", ds, one_row(ds.day), of_day)
                tiles = {key: own for key, own in tiles.items() if view.name in key}
                tiles[f"tiles/{view.name}/ds={ds}"] = content
                publish_part(lake, table, ds, one_row(ds.day), tiles)
        facts["rows"] = 4


def materialize(settings: Settings) -> None:
    with stage(settings, "materialize", DS):
        views = {view.name: ServedView(content="c" * 16, rows=1) for view in settings.catalog.views}
        (settings.home / "feast").mkdir()
        write_receipt(settings.home / "feast", Served(dataset=settings.dataset, ds=DS, views=views))


def assemble(settings: Settings, rows: pa.Table) -> None:
    lake = Lake(settings.lake)
    inputs = {f"events/ds={ds}": lake.manifest("events", ds).content for ds in DAYS}
    for view in settings.catalog.views:
        table = f"features/{view.name}"
        for ds in [None] if isinstance(view, Profile) else lake.days(table):
            inputs[f"{table}/ds={ds}" if ds else table] = lake.manifest(table, ds).content
    with stage(settings, "assemble", DAYS) as facts:
        publish_part(lake, training_set("ranker_v1"), DS, rows, inputs)
        encode(settings, rows)
        facts["rows"] = rows.num_rows


def judge(
    settings: Settings, gate: str, days: Days, tables: list[str], failures: tuple[Failure, ...] = ()
) -> None:
    """What a gate writes; the caller's error if there are failures."""
    lake = Lake(settings.lake)
    with stage(settings, f"validate_{gate}", days):
        for table in tables:
            for ds in [ds for ds in lake.days(table) if ds in days] or [None]:
                content = lake.manifest(table, ds).content
                write_verdict(
                    lake,
                    Verdict(
                        table=table, ds=str(ds) if ds else None, content=content,
                        passed=not failures, checks=5, failures=failures,
                    ),
                )  # fmt: skip
        if failures:
            raise RuntimeError(failures[0].message)


def publish(settings: Settings, version: str = "v1.0.0") -> None:
    with stage(settings, "publish", DS) as facts:
        digest = verified_digest(settings.models / "pepnet" / f"ds={DS}")
        note = f'{{"model": "pepnet", "version": "{version}", "hashes": "{digest}"}}'
        write_whole(settings.home / "registry" / settings.dataset / "published.json", note)
        facts["model"] = f"pepnet@{version}"


def publish_part(lake: Lake, table: str, ds: date | None, rows: pa.Table, inputs: dict[str, str]) -> str:
    with lake.staging() as staged:
        path: Path = staged / "part.parquet"
        pq.write_table(rows, path)
        return lake.publish(table, ds, [path], inputs).content


def one_row(number: int) -> pa.Table:
    return pa.table({"key": [str(number)], "event_timestamp": [snapshot_instant(DS)]})
