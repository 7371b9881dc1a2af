"""What evaluate writes of a run: every model's metrics."""

from __future__ import annotations

from typing import ClassVar

from pipelines.records import StageRecord
from training.evaluation import ModelMetrics


class Evaluation(StageRecord):
    """One run's evaluation on its test days.

    Attributes:
        dataset: name of the data set.
        ds: last day of the run.
        service: the Feast FeatureService of the columns.
        data: fingerprint of the encoded arrays.
        tasks: in order; lists are ranked by the first.
        days: split name to first and last UTC day.
        rows: split name to number of rows.
        models: metrics by model name, LightGBM ("lightgbm") last.
        hashes: by trained model, SHA-256 of its hashes.json; the metrics are of these files and no others.
    """

    written_by: ClassVar[str] = "evaluate"

    dataset: str
    ds: str
    service: str
    data: str
    tasks: tuple[str, ...]
    days: dict[str, tuple[str, str]]
    rows: dict[str, int]
    models: dict[str, ModelMetrics]
    hashes: dict[str, str]
