"""Timings and lineage: how long each stage took, and what exactly the results were made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from features.serving.served import read_receipt
from pipelines.errors import LineageError
from pipelines.lake import Lake
from pipelines.lineage.of_stage import model_part
from pipelines.lineage.outbox import events_folder
from pipelines.lineage.recorded import Record
from pipelines.lineage.tree import holds, runs_of
from pipelines.lineage.way import way_to
from pipelines.manifest import Manifest
from pipelines.reporting.blocks import Block, Cell, Fold, Group, Note, Section, Table, rows_of
from pipelines.reporting.files import find_json
from pipelines.reporting.words import count, plural, seconds
from pipelines.settings import Settings
from pipelines.stages import STAGES, Stage
from pipelines.training_sets import encoded_folder, training_set
from training.card import read_card
from training.errors import ArtifactError
from training.sealed import HASHES, SealError, fingerprint

_NOT_FACTS = {"stage", "days", "seconds"}


def lineage(settings: Settings, ds: date) -> Section:
    """Stage timings, content hashes of the run, and whether the lake still holds what it was made from."""
    lake = Lake(settings.lake)
    blocks: list[Block] = [_timings(settings)]
    blocks.extend(_hashes(settings, lake, ds))
    blocks.extend(_way(settings, ds))
    return Section("lineage", "Timings and lineage", tuple(blocks))


def _timings(settings: Settings) -> Block:
    # The report's own note would make the page differ from its second run.
    notes = [note for stage in STAGES if stage.name != "report" for note in _notes(settings, stage)]
    if not notes:
        return Note("No stage has left a note of its run.")
    longest = max(float(note["seconds"]) for note in notes)
    rows = tuple(
        (
            Cell(str(note["stage"]).replace("_", " ")),
            Cell(_facts(note)),
            Cell(str(note["days"])),
            Cell(seconds(float(note["seconds"])), weight=0.6 * float(note["seconds"]) / (longest or 1.0)),
        )
        for note in notes
    )
    total = seconds(sum(float(note["seconds"]) for note in notes))
    return Table(
        head=("stage", "what it did", "days", "time"),
        groups=rows_of(*rows),
        caption=f"Each stage's last run, {total} together, without the start of its process.",
        text_columns=2,
    )


def _notes(settings: Settings, stage: Stage) -> Iterator[dict[str, Any]]:
    """The notes of a stage; one that is mapped over models leaves one a model."""
    names = (
        [f"{stage.name}_{model}" for model in settings.params.train.models] if stage.mapped else [stage.name]
    )
    for name in names:
        note = find_json(settings.runs / f"{name}.json")
        if note is not None and {"stage", "days", "seconds"} <= note.keys():
            yield note


def _facts(note: Mapping[str, Any]) -> str:
    """For example "rows 1,234, columns 140"; nested facts are left to the note itself."""
    facts = {name: value for name, value in note.items() if name not in _NOT_FACTS}
    return ", ".join(
        f"{name.replace('_', ' ')} {_word(value)}"
        for name, value in facts.items()
        if isinstance(value, bool | int | float | str) and not str(value).startswith("/")
    )


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return count(value) if isinstance(value, int) else str(value)


def _hashes(settings: Settings, lake: Lake, ds: date) -> Iterator[Block]:
    service = settings.params.features.service
    manifest = lake.find_manifest(training_set(service), ds)
    if manifest is None:
        yield Note(f"There is no training set of {ds}; `gatehouse assemble --ds {ds}` writes it.")
        return
    rows = [
        (f"training set {service}", manifest.content, plural(manifest.rows, "row")),
        *_encoded(settings, lake, ds),
        *_models(settings, ds),
        *_served(settings),
    ]
    yield Table(
        head=("what", "content hash", "holds"),
        groups=rows_of(*rows),
        caption=f"Equal hashes mean equal bytes. Written by Gatehouse {manifest.code}.",
        text_columns=3,
    )
    yield _freshness(lake, manifest)
    inputs = Table(("input", "content hash"), rows_of(*manifest.inputs.items()), "", text_columns=2)
    yield Fold(
        f"The {plural(len(manifest.inputs), 'partition')} that the training set was joined from", (inputs,)
    )


def _way(settings: Settings, ds: date) -> Iterator[Block]:
    """The way of the model that may be published back to the raw log, as its runs recorded it."""
    model, folder = settings.params.publish.model, events_folder(settings)
    if folder is None or not (settings.models / model / f"ds={ds}" / HASHES).is_file():
        return
    try:
        way = way_to(Record.read(folder), model_part(settings, model, ds))
    except LineageError as error:
        yield Note(f"The way of {model} back to the raw log is not known: {error}.")
        return
    groups = tuple(
        Group(
            step.job,
            tuple(
                (Cell(feed.kind), Cell(holds(feed)), Cell(", ".join(feed.makers) or "outside"))
                for feed in step.feeds
            ),
            runs_of(step),
        )
        for step in way.steps.values()
    )
    yield Table(
        head=("read", "which", "made by"),
        groups=groups,
        caption=f"How {model} came to be, stage by stage; `gatehouse lineage {model} --ds {ds}` draws it.",
        text_columns=3,
    )


def _encoded(settings: Settings, lake: Lake, ds: date) -> Iterator[tuple[str, str, str]]:
    folder = encoded_folder(lake, settings.params.features.service, ds)
    try:
        yield "encoded arrays", fingerprint(folder), "the same rows as models read them"
    except SealError:
        return


def _models(settings: Settings, ds: date) -> Iterator[tuple[str, str, str]]:
    for name in settings.params.train.models:
        folder = settings.models / name / f"ds={ds}"
        try:
            card = read_card(folder)
            yield name, fingerprint(folder), f"{plural(card.parameters, 'weight')}, trained on {card.data}"
        except (ArtifactError, SealError):
            continue


def _served(settings: Settings) -> Iterator[tuple[str, str, str]]:
    served = read_receipt(settings.home / "feast")
    if served is None or served.dataset != settings.dataset:
        return
    rows = sum(view.rows for view in served.views.values())
    yield f"online store, {served.ds}", "", f"{plural(rows, 'key')} in {plural(len(served.views), 'view')}"


def _freshness(lake: Lake, manifest: Manifest) -> Note:
    changed = [
        partition for partition, content in manifest.inputs.items() if _content(lake, partition) != content
    ]
    if not changed:
        return Note("The lake still holds every partition the training set was joined from, unchanged.")
    return Note(
        f"{plural(len(changed), 'partition')} changed since the training set was joined from "
        f"{'it' if len(changed) == 1 else 'them'}, for example {changed[0]}; "
        "`gatehouse assemble` joins it anew.",
        bad=True,
    )


def _content(lake: Lake, partition: str) -> str | None:
    """Content hash of a partition named like "events/ds=2022-05-01", as it is now."""
    table, _, ds = partition.partition("/ds=")
    manifest = lake.find_manifest(table, date.fromisoformat(ds) if ds else None)
    return None if manifest is None else manifest.content
