"""What a trained model's gates do: their mean values per scenario, over rows it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.arrays import EncodedArrays
from training.data.batch import Batch
from training.evaluation import UNSEEN_SCENARIO
from training.models.pepnet import Gates
from training.score import BATCH_SIZE

MAX_ROWS = 262_144
"""Means do not get better beyond it; of a larger split, batches at even distances are read."""


@runtime_checkable
class Gated(Protocol):
    """A model that can show its gates."""

    @property
    def general_columns(self) -> list[str]: ...
    def gates(self, batch: Batch) -> Gates: ...


@dataclass(frozen=True, slots=True)
class GateMeans:
    """Mean gate values of S scenarios, F fields, T tasks and L layers; 1 leaves things as they are.

    Attributes:
        scenarios: names of the scenarios that have rows, most rows first; `UNSEEN_SCENARIO` stands for all
            that training did not have.
        rows: int64 [S], how many rows the means are over.
        fields: the fields of the embedding that EPNet gates.
        epnet: float64 [S, F], mean over rows and the field's embedding columns.
        epnet_distance: float64 [F], mean distance of the gate from 1; opposite gates do not cancel out.
        tasks: names of the tasks.
        ppnet: float64 [S, T, L], mean over rows and the layer's inputs.
        ppnet_distance: float64 [T, L], as above.
    """

    scenarios: tuple[str, ...]
    rows: NDArray[np.int64]
    fields: tuple[str, ...]
    epnet: NDArray[np.float64]
    epnet_distance: NDArray[np.float64]
    tasks: tuple[str, ...]
    ppnet: NDArray[np.float64]
    ppnet_distance: NDArray[np.float64]


def mean_gates(
    model: nn.Module, arrays: EncodedArrays, device: torch.device, split: str = "test"
) -> GateMeans | None:
    """Average a model's gates over the rows of `split`, scenario by scenario; None if it has none to show."""
    if not isinstance(model, Gated):
        return None
    fields = tuple(dict.fromkeys(model.general_columns))
    tasks = arrays.encoder.spec.tasks
    sums = _Sums(model, fields, arrays.encoder.spec.scenarios, device)
    stride = ceil(arrays.rows(split) / MAX_ROWS)
    model.to(device).eval()
    with torch.inference_mode():
        for batch in islice(arrays.batches(split, BATCH_SIZE, device), 0, None, stride):
            sums.add(batch)
    names = (UNSEEN_SCENARIO, *arrays.encoder.vocabularies[arrays.encoder.spec.scenario_table].values)
    rows = sums.rows.cpu().numpy()
    shown = [int(index) for index in np.argsort(-rows, kind="stable") if rows[index] > 0]
    counts = rows[shown].astype(np.float64)
    total = counts.sum()
    return GateMeans(
        scenarios=tuple(names[index] for index in shown),
        rows=rows[shown],
        fields=fields,
        epnet=sums.epnet.cpu().numpy()[shown] / counts[:, None],
        epnet_distance=sums.epnet_distance.cpu().numpy() / total,
        tasks=tasks,
        ppnet=sums.ppnet.cpu().numpy()[shown] / counts[:, None, None],
        ppnet_distance=sums.ppnet_distance.cpu().numpy() / total,
    )


class _Sums:
    """Sums of gate values over the rows seen so far, in double precision; shapes as in `GateMeans`."""

    def __init__(self, model: Gated, fields: tuple[str, ...], scenarios: int, device: torch.device) -> None:
        self._model = model
        self._scenarios = scenarios
        self._averaging = _averaging(model.general_columns, fields).to(device)
        self.rows = torch.zeros(scenarios, dtype=torch.int64, device=device)
        self.epnet = torch.zeros(scenarios, len(fields), dtype=torch.float64, device=device)
        self.epnet_distance = torch.zeros(len(fields), dtype=torch.float64, device=device)
        self.ppnet: Any = 0.0
        self.ppnet_distance: Any = 0.0

    def add(self, batch: Batch) -> None:
        gates = self._model.gates(batch)
        embedding = gates["epnet"].double()
        layers = [layer.double() for layer in gates["ppnet"]]
        means = torch.stack([layer.mean(dim=-1) for layer in layers], dim=-1)
        distances = torch.stack([(layer - 1.0).abs().mean(dim=-1) for layer in layers], dim=-1)
        self.rows += torch.bincount(batch.scenario, minlength=self._scenarios)
        self.epnet.index_add_(0, batch.scenario, embedding @ self._averaging)
        self.epnet_distance += ((embedding - 1.0).abs() @ self._averaging).sum(dim=0)
        per_scenario = means.new_zeros(self._scenarios, *means.shape[1:])
        self.ppnet = self.ppnet + per_scenario.index_add_(0, batch.scenario, means)
        self.ppnet_distance = self.ppnet_distance + distances.sum(dim=0)


def _averaging(columns: list[str], fields: tuple[str, ...]) -> Tensor:
    """[D_E, F]: times it, columns of E become the mean of each field's columns."""
    position = {field: index for index, field in enumerate(fields)}
    belongs = torch.tensor([position[column] for column in columns])
    one_hot = nn.functional.one_hot(belongs, len(fields)).double()
    return one_hot / one_hot.sum(dim=0)
