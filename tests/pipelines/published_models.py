"""A tiny trained model with its verdict, as train and promote leave them."""

from __future__ import annotations

import json
from datetime import date

from pipelines.files import write_whole
from pipelines.manifest import sha256_of
from pipelines.model_files import verified_digest
from pipelines.promotion.verdict import Promotion, promotion_path
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
    """Write a verdict on the model that is there now."""
    promotion = Promotion(
        dataset=settings.dataset,
        ds=str(ds),
        model=name,
        hashes=verified_digest(settings.models / "pepnet" / f"ds={ds}"),
        data="0" * 16,
        champion=None,
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
