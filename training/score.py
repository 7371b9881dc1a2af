"""Scoring: a model's probabilities for encoded rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.batch import Batch, no_labels
from training.data.encode import Encoded

BATCH_SIZE = 8192


def score(model: nn.Module, batches: Iterable[Batch]) -> NDArray[np.float32]:
    """Probability of each task for each row, float32 [N, T], in order of the batches."""
    return probabilities(logits(model, batches))


def logits(model: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """The model's logits in evaluation mode, float32 [N, T] on the CPU; the model's mode is left as found."""
    return logits_and_labels(model, batches)[0]


def logits_and_labels(model: nn.Module, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """`logits`, and the tasks' labels in the same order, float32 [N, T] on the CPU."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        parts = [(model(batch).float().cpu(), batch.labels.cpu()) for batch in batches]
    model.train(training)
    values, labels = zip(*parts, strict=True)
    return torch.cat(values), torch.cat(labels)[:, : values[0].shape[1]]


def probabilities(values: Tensor) -> NDArray[np.float32]:
    """Sigmoid of logits as a NumPy array of the same shape."""
    result: NDArray[np.float32] = torch.sigmoid(values).numpy()
    return result


def score_rows(model: nn.Module, encoded: Encoded) -> NDArray[np.float32]:
    """Probability of each task for each row of a list to rank, float32 [N, T], computed on the CPU."""
    return score(model, encoded_batches(encoded, torch.device("cpu")))


def encoded_batches(encoded: Encoded, device: torch.device, size: int = BATCH_SIZE) -> Iterator[Batch]:
    """Batches without labels of rows that `Encoder.transform` returned, for example a look-up's."""
    arrays = {field.name: getattr(encoded, field.name) for field in fields(encoded)}
    for start in range(0, len(encoded), size):
        part = {
            name: values if len(values) == 1 else values[start : start + size]  # one history serves all rows
            for name, values in arrays.items()
        }
        yield Batch.of(part | {"labels": no_labels(len(part["ids"]))}, device)
