"""What a training run may be told; `train` in params.yaml."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TrainConfig(BaseModel):
    """Hyperparameters shared by all models.

    Attributes:
        seed: of every random choice in a run.
        embedding_dim: width of every embedding.
        hidden: widths of the towers.
        batch_size: rows per step.
        epochs: passes over the training days at most.
        patience: epochs without a better validation loss before training stops.
        lr, embedding_lr: learning rates of the network and of the embedding tables.
        weight_decay: of the network only (decoupled).
        embedding_decay: of the embedding rows that a batch reads (decoupled); above 0, tables of every size
            are stepped by rows.
        ema_decay: 0, or share of the weights' running mean that a step keeps; the mean is then what is
            validated and kept.
        id_dropout: share of ids replaced by "unseen" in training, 0 to 1.
        auxiliary_weight: of the loss of each auxiliary task, where that of a task weighs 1; 0 learns none.
        shuffle_buffer: 0 to read the encoded arrays; or, where those are larger than memory, rows to shuffle
            among while the training set's Parquet files are read.
        models: model name to its own settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 7
    embedding_dim: int = Field(default=16, ge=1)
    hidden: tuple[int, ...] = (128, 64, 32)
    batch_size: int = Field(default=1024, ge=1)
    epochs: int = Field(default=8, ge=1)
    patience: int = Field(default=2, ge=1)
    lr: float = Field(default=1e-3, gt=0.0)
    embedding_lr: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    embedding_decay: float = Field(default=0.0, ge=0.0)
    ema_decay: float = Field(default=0.0, ge=0.0, lt=1.0)
    id_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    auxiliary_weight: float = Field(default=0.0, ge=0.0)
    shuffle_buffer: int = Field(default=0, ge=0)
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _models_may_be_bare(cls, values: Any) -> Any:
        """Let `pepnet:` without settings mean `pepnet: {}`."""
        if isinstance(values, dict) and isinstance(values.get("models"), dict):
            values = {**values, "models": {name: own or {} for name, own in values["models"].items()}}
        return values
