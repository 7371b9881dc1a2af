"""The model card: what a model folder says of itself, read without its weights and without torch."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from training.errors import ArtifactError

MODEL = "model.json"
CARD = "card.json"
CARD_PAGE = "card.md"


class Card(BaseModel):
    """What somebody who is handed the model should know of it.

    Attributes:
        model: the family, a file of training/models.
        dataset: what it was trained on.
        service: the Feast FeatureService of its columns.
        columns: what it reads of a row, sorted.
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
    columns: tuple[str, ...]
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


def read_card(folder: Path) -> Card:
    """The card of the model in `folder`.

    Raises:
        ArtifactError: there is none, or it is not a card.
    """
    try:
        return Card.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{folder} holds no trained model: {error}") from error
