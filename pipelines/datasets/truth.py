"""The test rows of a run with the true probabilities of their labels, which the simulated log has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.days import Days
from pipelines.errors import MissingPartitionError
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.training_sets import rows_of, training_set

OVERALL = ""
"""Stands for the rows of all scenarios, beside the names of single ones."""


@dataclass(frozen=True, slots=True)
class TrueRows:
    """N test rows, in the order of the training set and so of a model's predictions, and T tasks.

    Attributes:
        tasks: their names.
        scenario: [N], names.
        labels: [N, T] of 0 and 1.
        probabilities: [N, T], the true ones.
    """

    tasks: tuple[str, ...]
    scenario: NDArray[np.str_]
    labels: NDArray[np.int8]
    probabilities: NDArray[np.float64]

    def parts(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """`OVERALL` and all rows, then each scenario and its rows, the largest first."""
        yield OVERALL, np.arange(len(self.scenario))
        names, sizes = np.unique(self.scenario, return_counts=True)
        for name in names[np.argsort(-sizes, kind="stable")]:
            yield str(name), np.flatnonzero(self.scenario == name)


def has_truth(settings: Settings, ds: date) -> bool:
    """Whether the log of the run that ends on `ds` is one whose true probabilities are known."""
    return bool(Lake(settings.lake).files("truth", _test_days(settings, ds)))


def true_rows(settings: Settings, ds: date) -> TrueRows:
    """The test rows of the run that ends on `ds`.

    Raises:
        MissingPartitionError: there is no truth for these days, or none of some row (the log was made
            anew since), or no training set.
    """
    lake, days = Lake(settings.lake), _test_days(settings, ds)
    if not has_truth(settings, ds):
        raise MissingPartitionError(
            f"{lake.root} holds no true probabilities for {days}; only the simulated log has them"
        )
    tasks = settings.catalog.tasks
    table = training_set(settings.params.features.service)
    file = lake.folder(table, ds) / lake.manifest(table, ds).files[0].name
    columns = ["event_id", "event_timestamp", "scenario_id", *(task.column for task in tasks)]
    rows = rows_of(pq.read_table(file, columns=columns), days)
    truth = pq.read_table(lake.files("truth", days)).combine_chunks()
    found = pc.index_in(rows["event_id"], value_set=truth["event_id"])
    if found.null_count:
        raise MissingPartitionError(
            f"{found.null_count} of the {rows.num_rows} test rows of {table}, ds={ds}, have no true "
            f"probability; run `gatehouse assemble --ds {ds}` again"
        )
    known = truth.take(found)
    return TrueRows(
        tasks=tuple(task.name for task in tasks),
        scenario=rows["scenario_id"].to_numpy().astype(np.str_),
        labels=np.stack([rows[task.column].to_numpy() for task in tasks], axis=1),
        probabilities=np.stack([known[f"p_{task.name}"].to_numpy() for task in tasks], axis=1),
    )


def _test_days(settings: Settings, ds: date) -> Days:
    return settings.dataset_params.split.days(ds)["test"]
