"""The files of a finished run on a tiny simulated log, as the stages leave them; no stage has to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from features.declarations.groups import Profile
from pipelines.answers.outcome import DayOutcome, Example, FeatureOutcome, Outcome, outcome_path
from pipelines.assemble import rows_of
from pipelines.counts import DayCounts, write_counts
from pipelines.days import Days
from pipelines.evaluation import Evaluation
from pipelines.gates.comparison import Drift
from pipelines.lake import Lake
from pipelines.promotion.verdict import (
    Calibration,
    Champion,
    Difference,
    Promotion,
    Scores,
    promotion_path,
)
from pipelines.settings import Settings
from pipelines.training_sets import encoded_folder, training_set
from tests.training.rows import training_rows
from training.artifact import write_model
from training.card import Card
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.fit import fit
from training.data.write import write_encoded
from training.evaluation import ModelMetrics, evaluate_predictions
from training.models.build import build
from training.watching import CurvePoint

DAYS = Days(start=date(2026, 1, 1), end=date(2026, 1, 4))
DS = DAYS.end
PARAMS: dict[str, Any] = {
    "datasets": {
        "simulated": {
            "days": {"start": str(DAYS.start), "end": str(DS)},
            "split": {"train": 2, "validation": 1, "test": 1},
        }
    },
    "train": {"models": {"pooled_mlp": {}, "pepnet": {}}},
}
CONFIG = TrainConfig(embedding_dim=4, hidden=(8, 6), models={"pooled_mlp": {}, "pepnet": {}})


def write_run(settings: Settings) -> None:
    """Everything from ingest to evaluate."""
    rows = training_rows(settings.catalog, rows=2000)
    lake = Lake(settings.lake)
    inputs = write_events(settings, lake, rows)
    write_snapshots(settings, lake)
    write_training_set(settings, lake, rows, inputs)
    write_gates(settings)
    for name in settings.params.train.models:
        write_model_of(settings, name)
    write_evaluation(settings)
    write_promotion(settings)
    write_note(settings, "ingest", rows=2100, kept=2000)
    write_note(settings, "train_pepnet", epochs=3)


def write_events(settings: Settings, lake: Lake, rows: pa.Table) -> dict[str, str]:
    """Events and counts of every day; on the third, some rows were refused. Returns partition to content."""
    inputs = {}
    columns = [name for name in rows.column_names if "__" not in name]
    for ds in DAYS:
        own = rows_of(rows, Days.one(ds)).select(columns)
        inputs[f"events/ds={ds}"] = _publish(lake, "events", ds, own, {})
        reasons = {"user_id is missing": 7, "time is not a number": 2} if ds.day == 3 else {}
        refused = sum(reasons.values())
        write_counts(
            lake,
            DayCounts(
                ds=ds, rows=own.num_rows + 4 + refused, kept=own.num_rows, duplicates=4,
                quarantined=refused, reasons=reasons,
            ),
        )  # fmt: skip
    return inputs


def write_snapshots(settings: Settings, lake: Lake) -> None:
    """A snapshot of the last day of every view, of as many keys as its name is long; only keys are in it."""
    for view in settings.catalog.views:
        keys = pa.table({key.column: [str(n) for n in range(len(view.name))] for key in view.keys})
        _publish(lake, f"features/{view.name}", None if isinstance(view, Profile) else DS, keys, {})


def write_training_set(settings: Settings, lake: Lake, rows: pa.Table, inputs: Mapping[str, str]) -> None:
    service = settings.params.features.service
    content = _publish(lake, training_set(service), DS, rows, inputs)
    splits = settings.dataset_params.split.days(DS)
    encoder = fit(settings.catalog, service, rows_of(rows, splits["train"]))
    write_encoded(encoder, rows, splits, encoded_folder(lake, service, DS), source=content)


def write_gates(settings: Settings, failure: Mapping[str, Any] | None = None) -> None:
    """The gates' summaries; with a failure, the events gate stopped a partition."""
    for gate, tables in (
        ("events", ["events"]),
        ("features", [f"features/{view.name}" for view in settings.catalog.views]),
        ("training", ["training_sets/ranker_v1"]),
    ):
        failures = [failure] if failure is not None and gate == "events" else []
        summary = {
            "gate": gate,
            "days": str(DAYS),
            "passed": not failures,
            "tables": [
                {"table": table, "partitions": 4, "checks": 40, "passed": not failures, "failures": failures}
                for table in tables
            ],
        }
        _write_json(settings.runs / "gates" / f"{gate}.json", summary)


def write_drift(settings: Settings, gate: str, table: str, drift: Drift, ds: str | None = str(DS)) -> None:
    """Put what came of comparing a table into its gate's summary."""
    path = settings.runs / "gates" / f"{gate}.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    for own in summary["tables"]:
        if own["table"] == table:
            own["drift"] = {"ds": ds, **drift.model_dump(mode="json")}
    _write_json(path, summary)


def write_outcome(settings: Settings, ds: date, different: int) -> Path:
    """What came of comparing 60 served values of two features of a view; returns its path."""
    example = Example(
        ids={"user_id": "17"}, instant="2026-01-05T00:00:00+00:00", snapshot="2026-01-04",
        online="0.25", offline="0.5",
    )  # fmt: skip
    outcome = DayOutcome(
        dataset=settings.dataset, ds=str(ds), requests=10, rows=30, skipped={"degraded": 2}, unreadable=0,
        snapshots=("2026-01-04",), max_unequal=0.0,
        features=(
            _outcome("user_engagement__click_rate_7d", example, equal=30 - different, different=different),
            _outcome("user_engagement__clicks_7d", example, equal=27, corrected_since=2, not_served_yet=1),
        ),
    )  # fmt: skip
    path = outcome_path(settings, ds)
    _write_json(path, outcome.model_dump(mode="json"))
    return path


def _outcome(column: str, example: Example, **counts: int) -> FeatureOutcome:
    examples = (example,) if counts.get("different") else ()
    of_all = {kind.label: counts.get(kind.label.replace(" ", "_"), 0) for kind in Outcome}
    return FeatureOutcome(column=column, view=column.split("__")[0], counts=of_all, examples=examples)


def write_model_of(settings: Settings, name: str, seed: int = 0) -> None:
    """A model whose weights are random and whose gates are open, with the curve of three epochs."""
    folder = encoded_folder(Lake(settings.lake), settings.params.features.service, DS)
    arrays = EncodedArrays(folder)
    torch.manual_seed(seed)
    spec = arrays.encoder.spec
    model = build(name, spec, CONFIG)
    for gate_name, weights in model.named_parameters():
        if "net." in gate_name and weights.ndim == 2:
            nn.init.normal_(weights, std=0.3)
    curve = [
        CurvePoint(epoch, 10 * epoch, 1.0 / epoch, loss, (0.6, 0.7))
        for epoch, loss in ((1, 0.9), (2, 0.8), (3, 0.85))
    ]
    card = Card(
        model=name, dataset=settings.dataset, service=spec.service,
        columns=tuple(sorted(spec.columns)), tasks=spec.tasks,
        days=arrays.days, rows={split: arrays.rows(split) for split in arrays.days}, data=arrays.fingerprint,
        parameters=1234, epochs=3, best_epoch=2, validation_loss=0.8,
        validation_auc={"click": 0.6, "like": 0.7},
        licence="made up",
    )  # fmt: skip
    predictions = np.zeros((arrays.rows("test"), 2), np.float32)
    write_model(settings.models / name / f"ds={DS}", model, arrays.encoder, CONFIG, card, curve, predictions)


def write_evaluation(settings: Settings) -> None:
    """Metrics of random predictions, one set a model and one for the yardstick."""
    arrays = EncodedArrays(encoded_folder(Lake(settings.lake), settings.params.features.service, DS))
    evaluation = Evaluation(
        dataset=settings.dataset,
        ds=str(DS),
        service=arrays.encoder.spec.service,
        data=arrays.fingerprint,
        tasks=arrays.encoder.spec.tasks,
        days=arrays.days,
        rows={split: arrays.rows(split) for split in arrays.days},
        models={
            name: random_metrics(arrays, seed)
            for seed, name in enumerate((*settings.params.train.models, "lightgbm"))
        },
        hashes=dict.fromkeys(settings.params.train.models, "0" * 64),
    )
    _write_json(settings.evaluation / f"ds={DS}.json", evaluation.model_dump(mode="json"))


def write_promotion(
    settings: Settings,
    reasons: tuple[str, ...] = (),
    champion: Champion | None = None,
    differences: tuple[Difference, ...] = (),
) -> None:
    """A verdict on pepnet; reasons make it a failure."""
    promotion = Promotion(
        dataset=settings.dataset, ds=str(DS), model="pepnet", hashes="0" * 64, data="0" * 16,
        champion=champion, target="click", bounds=settings.params.promote, users=60, differences=differences,
        calibrations=(
            Calibration(scenario=None, task="click", positives=500, challenger=1.4, champion=1.1,
                        passed=False),
            Calibration(scenario="0", task="click", positives=9, challenger=1.0, champion=None, passed=True,
                        reason="9 positives, fewer than 200"),
        ),
        scores=(Scores(task="click", lowest=0.01, highest=0.9, saturated=0.0, psi=0.07, passed=True),),
        quick=True, reasons=reasons, passed=not reasons,
    )  # fmt: skip
    _write_json(promotion_path(settings, DS), promotion.model_dump(mode="json"))


def random_metrics(arrays: EncodedArrays, seed: int) -> ModelMetrics:
    """Metrics of a model that guesses."""
    guesses = np.random.default_rng(seed).random(arrays.column("labels", "test").shape, np.float32)
    return evaluate_predictions(arrays, guesses, min_positives=70)


def write_note(settings: Settings, stage: str, **facts: object) -> None:
    _write_json(
        settings.runs / f"{stage}.json", {"stage": stage, "days": str(DAYS), **facts, "seconds": 12.5}
    )


def write_published(settings: Settings, version: str = "v3.0.0") -> None:
    note = {"model": "pepnet", "version": version, "ds": str(DS), "commit": "c" * 40, "hashes": "h" * 64}
    _write_json(settings.home / "registry" / settings.dataset / "published.json", note)


def _publish(lake: Lake, table: str, ds: date | None, rows: pa.Table, inputs: Mapping[str, str]) -> str:
    with lake.staging() as staged:
        pq.write_table(rows, staged / "part.parquet")
        return lake.publish(table, ds, [staged / "part.parquet"], inputs).content


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
