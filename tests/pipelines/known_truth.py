"""A home as assemble leaves it whose labels are drawn with chances that the lake's truth says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.lake import Lake
from pipelines.settings import Settings
from tests.homes import LENIENT
from tests.pipelines.assembled import DS, PARAMS, encode, let_through, write_training_set
from tests.training.rows import training_rows

TELLING, LEAKING = "user_profile__taste_0", "user_profile__activity"


def known_truth(home: Callable[..., Path], *, leak: bool = False, rows: int = 4_000) -> Settings:
    """Settings of the home; `TELLING` decides the chances.

    With `leak`, `LEAKING` says the label of the first task, though not for certain.
    """
    params = PARAMS | {"train": PARAMS["train"] | {"models": {"pepnet": {}}}, "promote": LENIENT}
    settings = Settings(home=home("simulated", **params), device="cpu")
    rng = np.random.default_rng(2)
    table = training_rows(settings.catalog, rows=rows)
    signal = pc.fill_null(table[TELLING], 0.0).to_numpy()
    truth: dict[str, pa.Array] = {"event_id": table["event_id"].combine_chunks()}
    for position, task in enumerate(settings.catalog.tasks):
        chances = 1.0 / (1.0 + np.exp(position + 0.5 - 1.2 * signal / signal.std()))
        labels = (rng.random(rows) < chances).astype(np.int8)
        truth[f"p_{task.name}"] = pa.array(chances)
        table = _replaced(table, task.column, labels)
        if leak and position == 0:
            table = _replaced(table, LEAKING, (3.0 * labels + rng.normal(size=rows)).astype(np.float32))
    _write_truth(settings, pa.table(truth).take(rng.permutation(rows)))
    write_training_set(settings, table)
    let_through(settings)
    encode(settings, table)
    return settings


def _replaced(table: pa.Table, column: str, values: np.ndarray) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, pa.array(values))


def _write_truth(settings: Settings, truth: pa.Table) -> None:
    """All of it as the test day's: readers go by event id."""
    lake = Lake(settings.lake)
    with lake.staging() as staged:
        pq.write_table(truth, staged / "0.parquet")
        lake.publish("truth", DS, [staged / "0.parquet"], {})
