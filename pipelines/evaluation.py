"""What evaluate writes of a run: every model's metrics, the champion's, and the verdict for publishing."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import MissingPartitionError
from training.evaluation import ModelMetrics


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Champion(_Frozen):
    """The newest published model of an earlier run, on this run's test rows.

    Attributes:
        model, version: for example "pepnet" and "v3.0.0".
        ds: last day of the run that made it.
        metrics: null where it cannot be scored on today's columns.
        reason: why not; null where it was scored.
    """

    model: str
    version: str
    ds: str
    metrics: ModelMetrics | None
    reason: str | None = None


class PublishVerdict(_Frozen):
    """Whether the chosen model may be published.

    Attributes:
        model: the chosen one, `publish.model`.
        passed: whether nothing speaks against it.
        reasons: everything that does.
    """

    model: str
    passed: bool
    reasons: tuple[str, ...]


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
        champion: null before the first model is published.
        verdict: what publish goes by.
        hashes: SHA-256 of the chosen model's hashes.json; the verdict is on these files and no others.
    """

    dataset: str
    ds: str
    service: str
    data: str
    tasks: tuple[str, ...]
    days: dict[str, tuple[str, str]]
    rows: dict[str, int]
    models: dict[str, ModelMetrics]
    champion: Champion | None
    verdict: PublishVerdict
    hashes: str

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


def judge(
    model: str,
    metrics: ModelMetrics,
    champion: Champion | None,
    *,
    finite: bool,
    max_auc_drop: float,
    leaks: tuple[str, ...] = (),
) -> PublishVerdict:
    """The verdict on `model`.

    Args:
        model: its name.
        metrics: its metrics on the test rows.
        champion: whom it would replace.
        finite: whether all its predictions are finite numbers.
        max_auc_drop: how far the AUC of the first task may fall below the champion's.
        leaks: where it is better than is possible, in words; only the simulated log tells.
    """
    if not finite:
        return PublishVerdict(
            model=model, passed=False, reasons=("some predictions are not finite; train it again",)
        )
    reasons = list(leaks)
    for task, own in metrics.overall.items():
        if own.log_loss is None or own.constant_log_loss is None:
            reasons.append(f"no test row has a label of {task}, so nothing is known of it")
        elif own.log_loss >= own.constant_log_loss:
            reasons.append(
                f"log loss of {task} is {own.log_loss:.4f}, no better than {own.constant_log_loss:.4f}, "
                "which always predicting the rate of the training days gives"
            )
    if champion is not None and champion.metrics is not None:
        task = next(iter(metrics.overall))
        before, after = champion.metrics.overall[task].auc, metrics.overall[task].auc
        if before is not None and after is not None and after < before - max_auc_drop:
            reasons.append(
                f"AUC of {task} is {after:.4f}, {before - after:.4f} below the {before:.4f} of "
                f"{champion.model}@{champion.version} on the same days; "
                f"publish.max_auc_drop allows {max_auc_drop}"
            )
    return PublishVerdict(model=model, passed=not reasons, reasons=tuple(reasons))
