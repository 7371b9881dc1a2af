"""A trained model as a folder: weights, encoders, settings, card and curve. No file of it can run code."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from training.card import CARD, CARD_PAGE, MODEL, Card
from training.config import TrainConfig
from training.data.encode import Encoder
from training.errors import ArtifactError
from training.models.build import build, settings_of
from training.sealed import DATA_ONLY, HASHES, sealed_folder, unlisted, verify
from training.watching import CurvePoint

WEIGHTS = "model.safetensors"
CURVES = "curves.csv"
PREDICTIONS = "predictions.npy"


def write_model(
    folder: Path,
    model: nn.Module,
    encoder: Encoder,
    config: TrainConfig,
    card: Card,
    curve: Sequence[CurvePoint],
    predictions: NDArray[np.float32],
) -> None:
    """Write a trained model; the folder appears whole, with a hash of every file.

    Args:
        folder: where to.
        model: what `build(card.model, encoder.spec, config)` made, trained.
        encoder: turns columns into its input.
        config: what it was built and trained with; of `models` only its own settings are kept, all of them.
        card: what to know of it.
        curve: a point an epoch.
        predictions: probabilities of the test rows [N_test, T].
    """
    # Defaults too: a model must stay what it was when a later version of Gatehouse has others.
    own = config.model_copy(update={"models": {card.model: settings_of(card.model, config)}})
    with sealed_folder(folder) as staging:
        state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        save_file(state, staging / WEIGHTS)
        encoder.save(staging)
        _write_json(staging / MODEL, {"name": card.model, "config": own.model_dump(mode="json")})
        _write_json(staging / CARD, card.model_dump(mode="json"))
        (staging / CARD_PAGE).write_text(card.markdown(), encoding="utf-8")
        _write_curve(staging / CURVES, card.tasks, curve)
        np.save(staging / PREDICTIONS, predictions)


def load_model(folder: Path) -> tuple[nn.Module, Encoder]:
    """The model in evaluation mode on the CPU, and the encoder of its input.

    Raises:
        SealError: a file is missing or is not the one that was written.
        ArtifactError: a file could carry code or is not listed, a weight is not finite, or the files do
            not belong together.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix not in DATA_ONLY or path.is_symlink():
            raise ArtifactError(
                f"{path} is refused: a model consists of {', '.join(sorted(DATA_ONLY))} files only, "
                "because other formats (pickles above all) can run code, and of no links to other places"
            )
    verify(folder)
    if strangers := unlisted(folder):
        raise ArtifactError(
            f"{strangers[0]} is refused: {HASHES} does not list it; remove it, or fetch the model again"
        )
    try:
        description = json.loads((folder / MODEL).read_bytes())
        encoder = Encoder.load(folder)
        config = TrainConfig.model_validate(description["config"])
        model = build(description["name"], encoder.spec, config)
        weights = load_file(folder / WEIGHTS)
        model.load_state_dict(weights)
    except (OSError, KeyError, TypeError, ValidationError, SafetensorError, RuntimeError) as error:
        raise ArtifactError(f"{folder} is not a model of this version of Gatehouse: {error}") from error
    for name, values in weights.items():
        if not values.isfinite().all():
            raise ArtifactError(
                f"{folder / WEIGHTS}: {name} has values that are NaN or infinite; train it again"
            )
    return model.eval(), encoder


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _write_curve(path: Path, tasks: Sequence[str], curve: Sequence[CurvePoint]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["epoch", "step", "train_loss", "validation_loss", *(f"auc_{task}" for task in tasks)]
        )
        for point in curve:
            areas = ["" if math.isnan(area) else f"{area:.6f}" for area in point.auc]
            losses = (f"{point.train_loss:.6f}", f"{point.validation_loss:.6f}")
            writer.writerow([point.epoch, point.step, *losses, *areas])
