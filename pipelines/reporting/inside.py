"""Inside the gates: what each scenario's prior opens and shuts in the trained models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pipelines.lake import Lake
from pipelines.reporting.blocks import Block, Cell, Fold, Group, Note, Prose, Section, Table
from pipelines.reporting.words import count, enumerated
from pipelines.settings import Settings
from pipelines.training_sets import encoded_folder
from training.artifact import load_model, read_card
from training.data.arrays import EncodedArrays
from training.data.errors import EncodedDataError
from training.errors import ArtifactError
from training.loop import find_device
from training.understanding import GateMeans, mean_gates

TOP_SCENARIOS = 8
FULL_TINT = 0.4  # distance of a mean gate from 1 at which a cell has its full colour


def inside(settings: Settings, ds: date) -> Section:
    """Mean gate values over the test days, of every trained model that has gates to show."""
    try:
        arrays = EncodedArrays(encoded_folder(Lake(settings.lake), settings.params.features.service, ds))
    except EncodedDataError:
        reason = Note(f"The encoded rows of {ds} are not there; `gatehouse assemble --ds {ds}` writes them.")
        return Section("gates", "Inside the gates", (reason,))
    blocks: list[Block] = []
    gateless: list[str] = []
    for name in settings.params.train.models:
        folder = settings.models / name / f"ds={ds}"
        try:
            card = read_card(folder)
        except ArtifactError:
            continue  # the training section says that it is not there
        if card.data != arrays.fingerprint:
            blocks.append(
                Note(f"{name} was trained on other rows than those there are now; `gatehouse train {name}`.")
            )
            continue
        model, _ = load_model(folder)
        means = mean_gates(model, arrays, find_device(settings.device))
        if means is None:
            gateless.append(name)
        else:
            blocks.extend(_blocks(name, means))
    if gateless:
        blocks.append(Note(f"No gates to show in {enumerated(gateless)}."))
    return Section("gates", "Inside the gates", tuple(blocks) or (Note("No model has been trained yet."),))


def _blocks(name: str, means: GateMeans) -> Iterator[Block]:
    yield Prose(
        f"{name} multiplies what it knows by gates between 0 and 2. At 1 a gate leaves things as they are, "
        "and every gate starts there; below 1 it shuts, above 1 it opens. Spread is the largest mean less "
        "the smallest. A mean hides gates that cancel each other out, so the last column says how far from 1 "
        "they are on average."
    )
    views = _by_view(means.fields)
    yield Table(
        _head("feature view", means),
        (Group("", tuple(_epnet_row(view, means, own) for view, own in views.items())),),
        "EPNet, the scenario's gate on the embedding: mean gate per feature view and scenario over the test "
        f"days. {_scenarios_shown(means)} Read along a row: what one scenario opens and another shuts "
        "is what makes them differ.",
    )
    fields = Table(
        _head("field", means),
        tuple(
            Group(view, tuple(_epnet_row(_feature(means.fields[field]), means, [field]) for field in own))
            for view, own in views.items()
            if len(own) > 1
        ),
        "The same, field by field.",
    )
    yield Fold("Every field of these views", (fields,))
    yield _ppnet_table(means)


def _by_view(fields: Sequence[str]) -> dict[str, list[int]]:
    """Positions of the fields of each feature view; ids and context fields stand for themselves."""
    views: dict[str, list[int]] = {}
    for index, field in enumerate(fields):
        views.setdefault(field.partition("__")[0], []).append(index)
    return views


def _feature(field: str) -> str:
    return field.partition("__")[2] or field


def _epnet_row(name: str, means: GateMeans, fields: Sequence[int]) -> tuple[Cell, ...]:
    gates = means.epnet[:, fields].mean(axis=1)
    return _row(name, gates, float(means.epnet_distance[fields].mean()))


def _ppnet_table(means: GateMeans) -> Table:
    groups = tuple(
        Group(
            task,
            tuple(
                _row(
                    f"layer {layer + 1}",
                    means.ppnet[:, position, layer],
                    means.ppnet_distance[position, layer],
                )
                for layer in range(means.ppnet.shape[2])
            ),
        )
        for position, task in enumerate(means.tasks)
    )
    return Table(
        _head("input of", means),
        groups,
        "PPNet, the user's and the item's gate on every layer: mean gate over the layer's inputs, per task "
        "and scenario.",
    )


def _head(first: str, means: GateMeans) -> tuple[str, ...]:
    scenarios = zip(means.scenarios[:TOP_SCENARIOS], means.rows, strict=False)
    return (
        first,
        *(f"{name}\n{count(int(rows))}" for name, rows in scenarios),
        "spread",
        "distance\nfrom 1",
    )


def _row(name: str, gates: NDArray[np.float64], distance: float) -> tuple[Cell, ...]:
    shown = gates[:TOP_SCENARIOS]
    return (Cell(name), *map(_gate, shown), Cell(f"{np.ptp(shown):.2f}"), Cell(f"{distance:.2f}"))


def _gate(value: float) -> Cell:
    return Cell(f"{value:.2f}", heat=float(np.clip((value - 1.0) / FULL_TINT, -1.0, 1.0)))


def _scenarios_shown(means: GateMeans) -> str:
    if len(means.scenarios) <= TOP_SCENARIOS:
        return "Under each scenario stand its rows."
    return f"The {TOP_SCENARIOS} largest of {len(means.scenarios)} scenarios are shown, with their rows."
