"""Find a data set's adapter by name."""

from __future__ import annotations

from typing import Protocol

from pyspark.sql import SparkSession

from pipelines.datasets import custom, kuairand_pure, movielens_100k, simulated
from pipelines.datasets.tables import RawTables
from pipelines.days import Days
from pipelines.settings import Settings


class Adapter(Protocol):
    """Reads a data set's raw files, or makes them up, for at least the given days."""

    def __call__(self, spark: SparkSession, settings: Settings, days: Days) -> RawTables: ...


_ADAPTERS: dict[str, Adapter] = {
    "kuairand-pure": kuairand_pure.read,
    "movielens-100k": movielens_100k.read,
    "simulated": simulated.read,
    "custom": custom.read,
}


def find_adapter(dataset: str) -> Adapter:
    """The adapter of `dataset`, which `Settings` has already checked to be a known one."""
    return _ADAPTERS[dataset]
