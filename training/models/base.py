"""What every ranker is: an input layer, and logits for a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
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
        targets: how many logits a row has in training: of the T tasks, and after them of the A auxiliary
            tasks where `config.auxiliary_weight` lets it learn them.
        target_weights: of each in the loss, [targets].
    """

    target_weights: Tensor

    def __init__(self, spec: InputSpec, config: TrainConfig) -> None:
        super().__init__()
        self.spec = spec
        self.config = config
        self.inputs = InputLayer(spec, config.embedding_dim, config.id_dropout)
        auxiliaries = len(spec.auxiliaries) if config.auxiliary_weight else 0
        self.targets = len(spec.tasks) + auxiliaries
        weights = [1.0] * len(spec.tasks) + [config.auxiliary_weight] * auxiliaries
        self.register_buffer("target_weights", torch.tensor(weights), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B, T], tasks in the order of `spec.tasks`; in training mode [B, targets]."""
        logits = self.logits(batch)
        tasks = len(self.spec.tasks)
        return logits if self.training or tasks == self.targets else logits[:, :tasks]

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Logits [B, targets]: of the tasks in the order of `spec.tasks`, then of the auxiliary ones."""
