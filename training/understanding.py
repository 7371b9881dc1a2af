"""What goes on inside a trained model, scenario by scenario: gates, mixtures of experts, generated weights.

Nothing here knows a model: forward hooks watch the layers that models are put together from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features.declarations.entities import USER
from features.declarations.features import Role
from training.data.arrays import EncodedArrays
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.evaluation import UNSEEN_SCENARIO
from training.layers.experts import ExpertGate
from training.layers.gates import GateHead, GateNU, GroupGate
from training.layers.inputs import InputLayer, Inputs
from training.layers.lowrank import GeneratedCore
from training.layers.meta import MetaLayer
from training.layers.routing import Routes
from training.score import BATCH_SIZE

MAX_ROWS = 262_144
"""Means do not get better beyond it; of a larger split, batches at even distances are read."""

GENERATED: Mapping[type[nn.Module], Callable[[Any, Tensor], Tensor]] = {
    MetaLayer: lambda layer, known: torch.einsum("sr,nrij->snij", known, layer.V_w) + layer.v_w,
    GeneratedCore: lambda layer, known: torch.einsum("sr,rij->sij", known, layer.G) + layer.g,
}
"""Layers whose second argument is the knowledge that generates their weights, of each row [B, R], or with
routes as a third of each scenario [S, R]: how, for [S, R]."""


@dataclass(frozen=True, slots=True)
class GateMeans:
    """Mean values of one gate in S scenarios; 1 leaves things as they are.

    Attributes:
        name: the module's path in the model.
        fields: F input fields whose embeddings it multiplies; empty if it multiplies hidden units.
        means: float64 [S, F], over rows and the field's columns; [S, 1] over all hidden units.
        distance: float64 [F] or [1], mean distance from 1; opposite gates do not cancel out.
        known, newcomers: mean value and mean distance from 1 over rows of users that training knew, and of
            users it did not; NaN where there is none.
    """

    name: str
    fields: tuple[str, ...]
    means: NDArray[np.float64]
    distance: NDArray[np.float64]
    known: tuple[float, float]
    newcomers: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ExpertUse:
    """Mean mixture weights [S, M, k] of k experts, M times mixed (for T tasks, mostly) in S scenarios."""

    name: str
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GeneratedWeights:
    """Cosine [S, S] between the weights that one layer generates from each scenario's mean knowledge."""

    name: str
    cosine: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inside:
    """What was seen in a model.

    Attributes:
        scenarios: names of the S scenarios that have rows, most rows first; `UNSEEN_SCENARIO` stands for
            all that training did not have.
        rows: int64 [S], how many rows the means are over.
        newcomers: how many of them are of users whom training did not know.
        tasks: names of the tasks.
        gates, mixtures, generated: of each such layer, in the order of the model.
    """

    scenarios: tuple[str, ...]
    rows: NDArray[np.int64]
    newcomers: int
    tasks: tuple[str, ...]
    gates: tuple[GateMeans, ...]
    mixtures: tuple[ExpertUse, ...]
    generated: tuple[GeneratedWeights, ...]

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.gates or self.mixtures or self.generated)


def look_inside(model: nn.Module, arrays: EncodedArrays, device: torch.device, split: str = "test") -> Inside:
    """Watch a model score the rows of `split`.

    A layer that is computed on rows sorted into tiles by scenario is not watched: its outputs are no
    longer those of the batch's rows.
    """
    spec = arrays.encoder.spec
    watch = _Watch(spec.scenarios, [field.column for field in spec.ids].index(USER.column))
    stride = ceil(arrays.rows(split) / MAX_ROWS)
    model.to(device).eval()
    with torch.inference_mode(), watch.of(model):
        for batch in islice(arrays.batches(split, BATCH_SIZE, device), 0, None, stride):
            watch.begin(batch)
            model(batch)
        names = (UNSEEN_SCENARIO, *arrays.encoder.vocabularies[spec.scenario_table].values)
        rows = watch.rows.sum(dim=1).cpu().numpy()
        shown = [int(index) for index in np.argsort(-rows, kind="stable") if rows[index] > 0]
        return Inside(
            scenarios=tuple(names[index] for index in shown),
            rows=rows[shown],
            newcomers=int(watch.rows[:, 1].sum()),
            tasks=spec.tasks,
            gates=tuple(watch.gate_means(name, shown) for name in watch.gates),
            mixtures=tuple(
                ExpertUse(name, _of_tasks(of.by_scenario(shown), spec)) for name, of in watch.mixtures.items()
            ),
            generated=tuple(
                GeneratedWeights(name, _cosine(layer, known.by_scenario(shown), device))
                for name, (layer, known) in watch.knowledge.items()
            ),
        )


def _of_tasks(mixed: NDArray[np.float64], spec: InputSpec) -> NDArray[np.float64]:
    """Mixture weights [S, M, k] without those of auxiliary tasks, which nobody is served."""
    tasks = len(spec.tasks)
    return mixed[:, :tasks] if mixed.shape[1] == tasks + len(spec.auxiliaries) else mixed


class _Sums:
    """Sums of values [B, ...] by scenario and by whether the user is new, in double precision."""

    def __init__(self, scenarios: int) -> None:
        self._scenarios = scenarios
        self._values: Tensor | None = None
        self._rows: Tensor | None = None

    def add(self, values: Tensor, group: Tensor) -> None:
        size = 2 * self._scenarios
        if self._values is None or self._rows is None:
            self._values = values.new_zeros(size, *values.shape[1:], dtype=torch.float64)
            self._rows = torch.zeros(size, dtype=torch.float64, device=values.device)
        self._values.index_add_(0, group, values.double())
        self._rows += torch.bincount(group, minlength=size)

    def mean(self, *over: int) -> NDArray[np.float64]:
        """Means over scenarios (0), over known users and newcomers (1), or over both."""
        assert self._values is not None and self._rows is not None  # noqa: S101, PT018 -- a hook made it
        values = self._values.reshape(self._scenarios, 2, *self._values.shape[1:]).sum(dim=over)
        rows = self._rows.reshape(self._scenarios, 2).sum(dim=over)
        rows = rows.reshape(*rows.shape, *[1] * (values.dim() - rows.dim()))
        means: NDArray[np.float64] = (values / rows).cpu().numpy()
        return means

    def by_scenario(self, shown: list[int]) -> NDArray[np.float64]:
        return self.mean(1)[shown]


class _Watch:
    """Hooks that add up what layers give, for the rows of the batch that `begin` was told of.

    Attributes:
        rows: int64 [S, 2], rows of known users and of newcomers.
        gates: module path to the fields it gates, and sums of value and distance from 1, [B, F, 2].
        mixtures: module path to sums of mixture weights [B, M, k].
        knowledge: module path to the module, and sums of the knowledge [B, R] it generates weights from.
    """

    def __init__(self, scenarios: int, user: int) -> None:
        self._scenarios, self._user = scenarios, user
        self._group = torch.empty(0, dtype=torch.int64)
        self._inputs: Inputs | None = None
        self._layer: InputLayer | None = None
        self._columns: dict[str, Tensor] = {}
        self.rows = torch.zeros(scenarios, 2, dtype=torch.int64)
        self.gates: dict[str, tuple[tuple[str, ...], _Sums]] = {}
        self.mixtures: dict[str, _Sums] = {}
        self.knowledge: dict[str, tuple[nn.Module, _Sums]] = {}

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[None]:
        """Watch `model` within the block."""
        watched: dict[type[nn.Module], Callable[..., None]] = {
            GateNU: self._gate,
            GateHead: self._gate,
            GroupGate: self._gate,
            ExpertGate: self._mixture,
            InputLayer: self._input,
            **dict.fromkeys(GENERATED, self._generated),
        }
        with ExitStack() as hooks:
            for name, module in model.named_modules():
                for kind, note in watched.items():
                    if isinstance(module, kind):
                        hooks.enter_context(_hooked(module, name, note))
            yield

    def begin(self, batch: Batch) -> None:
        newcomer = (batch.ids[:, self._user] == 0).long()
        self._group = 2 * batch.scenario + newcomer
        counts = torch.bincount(self._group, minlength=2 * self._scenarios)
        self.rows += counts.reshape(self._scenarios, 2).cpu()

    def gate_means(self, name: str, shown: list[int]) -> GateMeans:
        fields, sums = self.gates[name]
        known, newcomers = sums.mean(0).mean(axis=1).tolist()  # of value and distance, over fields
        return GateMeans(
            name,
            fields,
            sums.by_scenario(shown)[..., 0],
            sums.mean(0, 1)[:, 1],
            tuple(known),
            tuple(newcomers),
        )

    def _input(self, name: str, layer: InputLayer, read: tuple[Any, ...], given: Inputs) -> None:
        self._inputs, self._layer = given, layer

    def _gate(self, name: str, gate: nn.Module, read: tuple[Tensor, ...], given: Tensor) -> None:
        if not self._is_of_the_batch(given):
            return
        given = given.flatten(1).double()
        if name not in self.gates:
            columns = self._gated_columns(read[0], given.shape[1])
            fields = tuple(dict.fromkeys(columns))
            self.gates[name] = fields, _Sums(self._scenarios)
            self._columns[name] = _averaging(columns, fields, given)
        averaging = self._columns[name]
        both = torch.stack([given @ averaging, (given - 1.0).abs() @ averaging], dim=-1)
        self.gates[name][1].add(both, self._group)

    def _mixture(self, name: str, gate: nn.Module, read: tuple[Tensor, ...], given: Tensor) -> None:
        if self._is_of_the_batch(given):
            sums = self.mixtures.setdefault(name, _Sums(self._scenarios))
            sums.add(given.reshape(given.shape[0], -1, given.shape[-1]), self._group)

    def _generated(self, name: str, layer: nn.Module, read: tuple[Any, ...], given: Tensor) -> None:
        known, of_scenarios = read[1], isinstance(read[-1], Routes)
        if of_scenarios or self._is_of_the_batch(known):
            _, sums = self.knowledge.setdefault(name, (layer, _Sums(self._scenarios)))
            group = 2 * torch.arange(self._scenarios, device=known.device) if of_scenarios else self._group
            sums.add(known, group)

    def _is_of_the_batch(self, given: Tensor) -> bool:
        return given.shape[0] == len(self._group)

    def _gated_columns(self, read: Tensor, width: int) -> list[str]:
        """The columns that a gate multiplies, when they are columns of the input; else none.

        Such a gate sees last what it multiplies (the E of [scenario, E]), so the end of what it reads,
        as wide as its output, is compared with the columns of each role.
        """
        if self._inputs is None or self._layer is None or read.dim() != 2 or read.shape[1] < width:
            return []
        end, columns = read[:, -width:], list[str]()
        left = [role for role in Role if self._layer.width(role)]
        while len(columns) < width:
            rest = end[:, len(columns) :]
            found = [role for role in left if _begins_with(rest, self._inputs.of(role))]
            if not found:
                return []
            left.remove(found[0])
            columns += self._layer.columns(found[0])
        return columns


@contextmanager
def _hooked(module: nn.Module, name: str, note: Callable[..., None]) -> Iterator[None]:
    handle = module.register_forward_hook(lambda own, read, given: note(name, own, read, given))
    try:
        yield
    finally:
        handle.remove()


def _begins_with(columns: Tensor, start: Tensor) -> bool:
    return torch.equal(columns[:, : start.shape[1]], start)


def _averaging(columns: list[str], fields: tuple[str, ...], like: Tensor) -> Tensor:
    """[D, F]: times it, D columns become the mean of each field's columns; of all, where there are none."""
    if not fields:
        return like.new_full((like.shape[1], 1), 1.0 / like.shape[1])
    position = {field: index for index, field in enumerate(fields)}
    belongs = torch.tensor([position[column] for column in columns], device=like.device)
    one_hot = nn.functional.one_hot(belongs, len(fields)).to(like)
    return one_hot / one_hot.sum(dim=0)


def _cosine(layer: nn.Module, known: NDArray[np.float64], device: torch.device) -> NDArray[np.float64]:
    """Cosine between the weights generated from each row of `known` [S, R]."""
    generate = next(how for kind, how in GENERATED.items() if isinstance(layer, kind))
    weights = generate(layer, torch.from_numpy(known).float().to(device)).flatten(1).double()
    unit = nn.functional.normalize(weights, dim=1)
    cosine: NDArray[np.float64] = (unit @ unit.T).cpu().numpy()
    return cosine
