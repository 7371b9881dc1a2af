"""What evaluate writes of a run: every model's metrics."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import MissingPartitionError
from training.evaluation import ModelMetrics


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evaluation(_Frozen):
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

    dataset: str
    ds: str
    service: str
    data: str
    tasks: tuple[str, ...]
    days: dict[str, tuple[str, str]]
    rows: dict[str, int]
    models: dict[str, ModelMetrics]
    hashes: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read what `evaluate` wrote.

        Raises:
            MissingPartitionError: it is not there, or of another version of Gatehouse.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise MissingPartitionError(f"{path} does not exist; run `gatehouse evaluate` first") from None
        except ValidationError as error:
            raise MissingPartitionError(
                f"{path} is not an evaluation of this version ({error.error_count()} errors); "
                "run `gatehouse evaluate` again"
            ) from error
