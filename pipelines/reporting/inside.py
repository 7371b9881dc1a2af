"""Inside the models: what each scenario opens and shuts, which experts it uses, and what a newcomer gets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from pipelines.lake import Lake
from pipelines.reporting.blocks import Block, Note, Prose, Section
from pipelines.reporting.layers import (
    gates_of_fields,
    gates_of_hidden_layers,
    gates_of_newcomers,
    likeness_table,
    mixture_table,
)
from pipelines.reporting.words import enumerated
from pipelines.settings import Settings
from pipelines.training_sets import encoded_folder
from training.artifact import load_model
from training.card import read_card
from training.data.arrays import EncodedArrays
from training.data.errors import EncodedDataError
from training.devices import find_device
from training.errors import ArtifactError
from training.understanding import Inside, look_inside


def inside(settings: Settings, ds: date) -> Section:
    """What is seen in every trained model over the test days."""
    try:
        arrays = EncodedArrays(encoded_folder(Lake(settings.lake), settings.params.features.service, ds))
    except EncodedDataError:
        reason = Note(f"The encoded rows of {ds} are not there; `gatehouse assemble --ds {ds}` writes them.")
        return Section("gates", "Inside the models", (reason,))
    blocks: list[Block] = []
    plain: list[str] = []
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
        seen = look_inside(model, arrays, find_device(settings.device))
        if seen:
            blocks.extend(_blocks(name, seen))
        else:
            plain.append(name)
    if plain:
        blocks.append(
            Note(f"No gates, mixtures of experts or generated weights to show in {enumerated(plain)}.")
        )
    return Section("gates", "Inside the models", tuple(blocks) or (Note("No model has been trained yet."),))


def _blocks(name: str, seen: Inside) -> Iterator[Block]:
    if seen.gates:
        yield Prose(
            f"{name} multiplies what it knows by gates between 0 and 2. At 1 a gate leaves things as they "
            "are, and every gate starts there; below 1 it shuts, above 1 it opens. Spread is the largest "
            "mean less the smallest. A mean hides gates that cancel each other out, so the last column "
            "says how far from 1 they are on average."
        )
    for gate in seen.gates:
        if gate.fields:
            yield from gates_of_fields(name, gate, seen)
    if any(not gate.fields for gate in seen.gates):
        yield gates_of_hidden_layers(name, seen)
    if seen.gates and seen.newcomers:
        yield gates_of_newcomers(name, seen)
    for mixture in seen.mixtures:
        yield mixture_table(name, mixture, seen)
    for generated in seen.generated:
        yield likeness_table(name, generated, seen)
