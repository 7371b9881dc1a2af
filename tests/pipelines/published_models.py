"""A tiny trained model with its evaluation, as train and evaluate leave them."""

from __future__ import annotations

import json
from datetime import date

from pipelines.evaluation import Evaluation, PublishVerdict
from pipelines.manifest import sha256_of
from pipelines.model_files import verified_digest
from pipelines.settings import Settings

DS = date(2026, 1, 6)


def write_model(settings: Settings, content: str, ds: date = DS, name: str = "pepnet") -> None:
    """Write a model of two files and its hashes."""
    folder = settings.models / name / f"ds={ds}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_text(content)
    (folder / "card.md").write_text(f"# {name}\n")
    hashes = {file: sha256_of(folder / file) for file in ("card.md", "model.safetensors")}
    (folder / "hashes.json").write_text(json.dumps(hashes))


def write_verdict(settings: Settings, ds: date = DS, *, passed: bool = True, name: str = "pepnet") -> None:
    """Write an evaluation of the model that is there now."""
    evaluation = Evaluation(
        dataset=settings.dataset,
        ds=str(ds),
        service=settings.params.features.service,
        data="0" * 16,
        tasks=("click",),
        days={},
        rows={},
        models={},
        champion=None,
        verdict=PublishVerdict(
            model=name, passed=passed, reasons=() if passed else ("AUC of click fell by 0.2",)
        ),
        hashes=verified_digest(settings.models / "pepnet" / f"ds={ds}"),
    )
    settings.evaluation.mkdir(parents=True, exist_ok=True)
    (settings.evaluation / f"ds={ds}.json").write_text(evaluation.model_dump_json())
