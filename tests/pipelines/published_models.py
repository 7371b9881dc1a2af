"""A tiny trained model with its evaluation, as train and evaluate leave them."""

from __future__ import annotations

import json
from datetime import date

from pipelines.manifest import sha256_of
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
    """Write what publish reads of an evaluation."""
    path = settings.evaluation / f"ds={ds}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = [] if passed else ["AUC of click fell by 0.2"]
    path.write_text(json.dumps({"verdict": {"model": name, "passed": passed, "reasons": reasons}}))
