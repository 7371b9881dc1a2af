"""Promote: judge the chosen model against the champion on the held-out rows; publish goes by the verdict."""

from __future__ import annotations

from datetime import date

import numpy as np

from pipelines.datasets.leaks import find_leaks
from pipelines.errors import MissingPartitionError
from pipelines.evaluation import Evaluation
from pipelines.files import write_whole
from pipelines.model_files import verified_digest
from pipelines.observing.console import console, stage
from pipelines.predictions import trained_predictions
from pipelines.promotion.champion import Scored, find_champion
from pipelines.promotion.heldout import HeldOut
from pipelines.promotion.judge import Challenger, judge
from pipelines.promotion.table import promotion_table
from pipelines.promotion.verdict import Champion, Promotion, promotion_path
from pipelines.settings import Settings
from pipelines.train import validated_arrays
from training.data.arrays import EncodedArrays
from training.evaluation import ModelMetrics, evaluate_predictions
from training.latency import scoring_milliseconds


def promote(settings: Settings, ds: date) -> Promotion:
    """Hold `publish.model` of the run that ends on `ds` to every bound, and write the verdict.

    Writes promotion/DATASET/ds=D.json. The same files give the same bytes: of the latency, which a clock
    says, only pass or fail is written. A verdict against the model stops `publish`, not this stage.

    Raises:
        MissingPartitionError: the model was not trained on this training set, or not evaluated since.
        NotValidatedError: the training set has not passed its gate.
        PublishError: the registry cannot be read.
        SettingsError: `promote.target` is no task.
    """
    params, model = settings.params.promote, settings.params.publish.model
    with stage(settings, "promote", ds) as facts:
        arrays = validated_arrays(settings, ds)
        folder = settings.models / model / f"ds={ds}"
        predictions = trained_predictions(settings, ds, model, arrays)
        digest = verified_digest(folder)
        metrics = _evaluated(settings, ds, model, digest)
        champion = find_champion(settings, ds, arrays, digest)
        milliseconds = scoring_milliseconds(folder, arrays, params.candidates)
        promotion = judge(
            Challenger(
                dataset=settings.dataset,
                ds=str(ds),
                model=model,
                hashes=digest,
                data=arrays.fingerprint,
                metrics=metrics,
                leaks=find_leaks(settings, ds, np.nan_to_num(predictions, nan=0.5)),
                quick=milliseconds <= params.max_latency_ms,
            ),
            _described(settings, arrays, champion),
            HeldOut.of(arrays, predictions, champion.predictions if champion else None),
            params,
        )
        write_whole(promotion_path(settings, ds), promotion.model_dump_json(indent=2) + "\n")
        facts |= {
            "model": model,
            "champion": champion.version.tag if champion else "none",
            "passed": promotion.passed,
            "milliseconds": round(milliseconds, 2),
        }
    console.print(promotion_table(promotion))
    for reason in promotion.reasons:
        console.print(f"[bold red]{model} will not be published:[/] {reason}")
    return promotion


def _evaluated(settings: Settings, ds: date, model: str, digest: str) -> ModelMetrics:
    """What evaluate measured of the very files that are there now."""
    if model not in settings.params.train.models:
        raise MissingPartitionError(
            f"publish.model {model} is not one of train.models in params.yaml, so nothing trains it"
        )
    evaluation = Evaluation.load(settings.evaluation / f"ds={ds}.json")
    if evaluation.hashes.get(model) != digest:
        raise MissingPartitionError(
            f"the evaluation of {ds} measured other files than those of {model} there now; "
            f"run `gatehouse evaluate --ds {ds}` again"
        )
    return evaluation.models[model]


def _described(settings: Settings, arrays: EncodedArrays, champion: Scored | None) -> Champion | None:
    if champion is None:
        return None
    metrics = None
    if champion.predictions is not None:
        metrics = evaluate_predictions(arrays, champion.predictions, settings.params.evaluate.min_positives)
    return Champion(
        model=champion.version.model,
        version=champion.version.name,
        ds=champion.version.ds,
        hashes=champion.version.digest,
        production=champion.production,
        metrics=metrics,
        reason=champion.reason,
    )
