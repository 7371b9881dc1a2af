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

TOP_SCENARIOS = 12
FULL_TINT = 0.25  # distance of a mean gate from 1 at which a cell has its full colour


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
        "and every gate starts there; below 1 it shuts, above 1 it opens. A mean hides gates that cancel "
        "each other out, so the last column says how far from 1 they are on average."
    )
    views, of_view = _by_view(means.fields)
    yield _epnet_table(
        means,
        views,
        np.stack([means.epnet[:, own].mean(axis=1) for own in of_view], axis=1),
        np.array([means.epnet_distance[own].mean() for own in of_view]),
        "EPNet, the scenario's gate on the embedding: mean gate per feature view and scenario over the test "
        "days, with the scenario's rows. Read along a row: a view that one scenario opens and another shuts "
        "is what makes them differ.",
    )
    order = np.argsort(-np.ptp(means.epnet, axis=0), kind="stable")
    fields = _epnet_table(
        means,
        [means.fields[index] for index in order],
        means.epnet[:, order],
        means.epnet_distance[order],
        "The same for every field; those that scenarios treat most differently come first.",
    )
    yield Fold(f"All {len(means.fields)} fields", (fields,))
    yield _ppnet_table(means)


def _by_view(fields: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Fields sorted by the view they come from; ids and context fields stand for themselves."""
    views: dict[str, list[int]] = {}
    for index, field in enumerate(fields):
        views.setdefault(field.partition("__")[0], []).append(index)
    return list(views), list(views.values())


def _epnet_table(
    means: GateMeans,
    names: Sequence[str],
    gates: NDArray[np.float64],
    distances: NDArray[np.float64],
    caption: str,
) -> Table:
    shown = slice(TOP_SCENARIOS)
    rows = tuple(
        (
            Cell(name.replace("__", " \u203a ")),
            *(_gate(value) for value in column[shown]),
            Cell(f"{distance:.2f}"),
        )
        for name, column, distance in zip(names, gates.T, distances, strict=True)
    )
    return Table(
        _head("feature view" if "\u203a" not in rows[0][0].text else "field", means),
        (Group("", rows),),
        caption,
    )


def _ppnet_table(means: GateMeans) -> Table:
    groups = tuple(
        Group(
            f"task {task}",
            tuple(
                (
                    Cell(f"layer {layer + 1}"),
                    *(_gate(value) for value in means.ppnet[:TOP_SCENARIOS, position, layer]),
                    Cell(f"{means.ppnet_distance[position, layer]:.2f}"),
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
    return (first, *(f"{name}\n{count(int(rows))}" for name, rows in scenarios), "|gate \u2212 1|")


def _gate(value: float) -> Cell:
    return Cell(f"{value:.2f}", heat=float(np.clip((value - 1.0) / FULL_TINT, -1.0, 1.0)))
