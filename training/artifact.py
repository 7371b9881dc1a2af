"""A trained model as a folder: weights, encoders, settings, card and curve. No file of it can run code."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from training.config import TrainConfig
from training.data.encode import Encoder
from training.errors import ArtifactError
from training.loop import CurvePoint
from training.models.build import build, settings_of
from training.sealed import DATA_ONLY, sealed_folder, verify

WEIGHTS = "model.safetensors"
MODEL = "model.json"
CARD = "card.json"
CURVES = "curves.csv"
PREDICTIONS = "predictions.npy"


class Card(BaseModel):
    """What somebody who is handed the model should know of it.

    Attributes:
        model: the family, a file of training/models.
        dataset: what it was trained on.
        service: the Feast FeatureService of its columns.
        tasks: what it predicts, in order.
        days: split name to first and last UTC day.
        rows: split name to number of rows.
        data: fingerprint of the encoded arrays.
        parameters: number of weights.
        epochs: how many were trained; `best_epoch` is the one whose weights were kept.
        validation_loss: of the best epoch.
        validation_auc: of the best epoch, by task; null where it is undefined.
        licence: of the training data.
        limits: what not to expect of the model.
        code: version of Gatehouse that trained it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dataset: str
    service: str
    tasks: tuple[str, ...]
    days: dict[str, tuple[str, str]]
    rows: dict[str, int]
    data: str
    parameters: int
    epochs: int
    best_epoch: int
    validation_loss: float
    validation_auc: dict[str, float | None]
    licence: str
    limits: tuple[str, ...] = (
        "It saw only impressions that were shown: scores of items that the logging policy never showed "
        "to such users are extrapolations.",
        "Users, items and authors unseen in the training days share one embedding; for them it relies on "
        "profiles and statistics.",
        "It expects features no staler than the feature service's TTL.",
    )
    code: str = version("gatehouse")

    def markdown(self) -> str:
        """The card as people read it."""
        days = "\n".join(
            f"| {split} | {first} .. {last} | {self.rows[split]:,} |"
            for split, (first, last) in self.days.items()
        )
        areas = "\n".join(
            f"| {task} | {'undefined' if area is None else format(area, '.4f')} |"
            for task, area in self.validation_auc.items()
        )
        limits = "\n".join(f"- {limit}" for limit in self.limits)
        return (
            f"# {self.model} on {self.dataset}\n\n"
            f"Predicts {', '.join(self.tasks)} from the feature service `{self.service}`. "
            f"{self.parameters:,} weights, trained by Gatehouse {self.code}; "
            f"the best of {self.epochs} epochs is number {self.best_epoch}.\n\n"
            f"| days | UTC | rows |\n|---|---|---|\n{days}\n\n"
            f"Validation loss {self.validation_loss:.5f}.\n\n"
            f"| task | validation AUC |\n|---|---|\n{areas}\n\n"
            f"## Limits\n\n{limits}\n\n"
            f"## Licence of the training data\n\n{self.licence}\n"
        )


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
        (staging / "card.md").write_text(card.markdown(), encoding="utf-8")
        _write_curve(staging / CURVES, card.tasks, curve)
        np.save(staging / PREDICTIONS, predictions)


def load_model(folder: Path) -> tuple[nn.Module, Encoder]:
    """The model in evaluation mode on the CPU, and the encoder of its input.

    Raises:
        SealError: a file is missing or is not the one that was written.
        ArtifactError: a file could carry code, or the files do not belong together.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix not in DATA_ONLY:
            raise ArtifactError(
                f"{path} is refused: a model consists of {', '.join(sorted(DATA_ONLY))} files only, "
                "because other formats (pickles above all) can run code"
            )
    verify(folder)
    try:
        description = json.loads((folder / MODEL).read_bytes())
        encoder = Encoder.load(folder)
        config = TrainConfig.model_validate(description["config"])
        model = build(description["name"], encoder.spec, config)
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, KeyError, TypeError, ValidationError, SafetensorError, RuntimeError) as error:
        raise ArtifactError(f"{folder} is not a model of this version of Gatehouse: {error}") from error
    return model.eval(), encoder


def read_card(folder: Path) -> Card:
    """The card of the model in `folder`.

    Raises:
        ArtifactError: there is none, or it is not a card.
    """
    try:
        return Card.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{folder} holds no trained model: {error}") from error


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
