"""A home with a validated, encoded training set with a planted signal, as assemble leaves it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.training_sets import encoded_folder, training_set
from pipelines.verdicts import Verdict, write_verdict
from tests.training.rows import training_rows
from training.data.fit import fit
from training.data.write import write_encoded

DS = date(2026, 1, 4)
PARAMS = {
    "datasets": {
        "simulated": {
            "days": {"start": "2026-01-01", "end": "2026-01-04"},
            "split": {"train": 2, "validation": 1, "test": 1},
        }
    },
    "train": {
        "models": {"pooled_mlp": {}, "pepnet": {}},
        "embedding_dim": 4, "hidden": [16, 8], "batch_size": 256, "epochs": 3, "lr": 0.01, "patience": 3,
    },
}  # fmt: skip


def assembled(home: Callable[..., Path], rows: int = 4000) -> Settings:
    """Settings of the home; the last day of its run is `DS`."""
    settings = Settings(home=home("simulated", **PARAMS), device="cpu")
    table = training_rows(settings.catalog, rows=rows)
    write_training_set(settings, table)
    let_through(settings)
    encode(settings, table)
    return settings


def write_training_set(settings: Settings, rows: pa.Table) -> None:
    lake = Lake(settings.lake)
    with lake.staging() as staged:
        pq.write_table(rows, staged / "0.parquet")
        lake.publish(training_set(settings.params.features.service), DS, [staged / "0.parquet"], {})


def let_through(settings: Settings) -> None:
    """What the training gate writes when it finds nothing."""
    lake, table = Lake(settings.lake), training_set(settings.params.features.service)
    content = lake.manifest(table, DS).content
    write_verdict(lake, Verdict(table=table, ds=str(DS), content=content, passed=True, checks=1))


def encode(settings: Settings, rows: pa.Table) -> None:
    lake, service = Lake(settings.lake), settings.params.features.service
    splits = settings.dataset_params.split.days(DS)
    encoder = fit(settings.catalog, service, rows.slice(0, rows.num_rows // 2))
    content = lake.manifest(training_set(service), DS).content
    write_encoded(encoder, rows, splits, encoded_folder(lake, service, DS), source=content)
