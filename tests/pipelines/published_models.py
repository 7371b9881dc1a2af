"""A tiny trained model with its verdict, as train and promote leave them."""

from __future__ import annotations

import json
from datetime import date
from typing import Literal

from pipelines.evaluation import Evaluation
from pipelines.files import write_whole
from pipelines.model_files import verified_digest
from pipelines.promotion.verdict import Champion, Promotion, promotion_path
from pipelines.registry import Registry, champion_of, in_production
from pipelines.settings import Settings
from training.card import Card
from training.evaluation import ModelMetrics, TaskMetrics
from training.sealed import sealed_folder

DS = date(2026, 1, 6)


def write_model(
    settings: Settings, content: str, ds: date = DS, name: str = "pepnet", columns: tuple[str, ...] = ()
) -> None:
    """Write a model whose weights are `content` and which reads the user and `columns`."""
    card = Card(
        model=name, dataset=settings.dataset, service="ranker_v1",
        columns=("user_id", *columns), tasks=("click",),
        days={"train": ("2026-01-01", "2026-01-04"), "test": (str(ds), str(ds))},
        rows={"train": 2000, "test": 500}, data="0" * 16, parameters=9, epochs=1, best_epoch=1,
        validation_loss=0.5, validation_auc={"click": 0.7}, licence="made up",
    )  # fmt: skip
    config = settings.params.train.model_dump(mode="json") | {"models": {name: {}}}
    with sealed_folder(settings.models / name / f"ds={ds}") as folder:
        (folder / "model.safetensors").write_text(content)
        (folder / "card.json").write_text(card.model_dump_json())
        (folder / "card.md").write_text(card.markdown())
        (folder / "model.json").write_text(json.dumps({"name": name, "config": config}))


def metrics(auc: float) -> ModelMetrics:
    """Metrics of a single scenario with this AUC of click."""
    own = TaskMetrics(
        rows=500, positives=90, auc=auc, gauc=auc - 0.02, gauc_user=auc, log_loss=0.4,
        constant_log_loss=0.5, calibration=1.01, calibration_error=0.01,
    )  # fmt: skip
    return ModelMetrics(overall={"click": own}, macro_auc={"click": auc}, scenarios={"feed": {"click": own}})


def write_verdict(
    settings: Settings,
    ds: date = DS,
    *,
    passed: bool = True,
    name: str = "pepnet",
    auc: float = 0.7,
    champion: Champion | Literal["now"] | None = "now",
) -> None:
    """Write an evaluation of the model that is there now, and a verdict on it against its champion."""
    digest = verified_digest(settings.models / "pepnet" / f"ds={ds}")
    evaluation = Evaluation(
        dataset=settings.dataset,
        ds=str(ds),
        service=settings.params.features.service,
        data="0" * 16,
        tasks=("click",),
        days={},
        rows={},
        models={name: metrics(auc)},
        hashes={name: digest},
    )
    write_whole(settings.evaluation / f"ds={ds}.json", evaluation.model_dump_json())
    promotion = Promotion(
        dataset=settings.dataset,
        ds=str(ds),
        model=name,
        hashes=digest,
        data="0" * 16,
        champion=champion_now(settings, ds, digest) if champion == "now" else champion,
        target="click",
        bounds=settings.params.promote,
        users=0,
        differences=(),
        calibrations=(),
        scores=(),
        quick=True,
        reasons=() if passed else ("AUC of click fell by 0.2",),
        passed=passed,
    )
    write_whole(promotion_path(settings, ds), promotion.model_dump_json())


def champion_now(settings: Settings, ds: date, challenger: str) -> Champion | None:
    """The champion as promote would name it, but unscored."""
    registry = Registry.of(settings)
    if registry.local is not None and not registry.local.exists():
        return None
    with registry.clone() as clone:
        version = champion_of(clone, "pepnet", str(ds), challenger)
        return version and Champion(
            model=version.model, version=version.name, ds=version.ds, hashes=version.digest,
            production=version == in_production(clone, version.model), metrics=None, reason="made up",
        )  # fmt: skip


def write_passed(
    settings: Settings, content: str, ds: date = DS, *, auc: float = 0.7, columns: tuple[str, ...] = ()
) -> None:
    """Write a model and an evaluation that it passed."""
    write_model(settings, content, ds, columns=columns)
    write_verdict(settings, ds, auc=auc)
