"""What every ranker is: an input layer, and logits for a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.inputs import InputLayer


class Ranker(nn.Module, ABC):
    """Scores rows for all tasks at once.

    A model's own settings are the keyword-only arguments of its constructor, each with a default.
    The embedding table, which is trained at a rate of its own, is `inputs.embedding`.

    Attributes:
        spec: the columns it reads and the tasks it predicts.
        config: what it was built with.
        inputs: looks up and sorts the columns by role.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig) -> None:
        super().__init__()
        self.spec = spec
        self.config = config
        self.inputs = InputLayer(spec, config.embedding_dim, config.id_dropout)

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Logits [B, T], tasks in the order of `spec.tasks`."""
