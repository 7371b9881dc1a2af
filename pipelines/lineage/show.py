"""`gatehouse lineage`: how a model came to be."""

from __future__ import annotations

from datetime import date

from features.declarations.names import checked_name
from pipelines.errors import LineageError
from pipelines.lineage.of_stage import version_name
from pipelines.lineage.parts import Part
from pipelines.lineage.recorded import Record
from pipelines.lineage.tree import draw
from pipelines.lineage.way import read_record, way_to
from pipelines.observing.console import console
from pipelines.settings import Settings

LATEST = "latest"


def print_lineage(settings: Settings, reference: str, ds: date | None = None) -> None:
    """Draw the way from a model back to the raw log.

    Args:
        settings: of the home whose runs are asked.
        reference: a published version, "pepnet@v3.0.0"; the latest one, "pepnet"; or with `ds` the model
            that was trained on the run ending on that day.
        ds: UTC day.

    Raises:
        LineageError: no run on record made it, or lineage is off.
    """
    record = read_record(settings)
    goal = _version(record, settings, reference) if ds is None else _trained(record, settings, reference, ds)
    console.print(draw(way_to(record, goal)))


def _version(record: Record, settings: Settings, reference: str) -> Part:
    model, _, wanted = reference.partition("@")
    checked_name(model, "model")
    stem = version_name(settings, f"{model}@v")
    published = [part for run in record.runs for part in run.writes if part.name.startswith(stem)]
    if wanted and wanted != LATEST:
        number = wanted.removeprefix("v").partition(".")[0]
        published = [part for part in published if part.name == f"{stem}{number}.0.0"]
    if not published:
        raise LineageError(
            f"no run on record published {reference}; with --ds, ask about a model that was only trained"
        )
    return max(published, key=lambda part: int(part.name.removeprefix(stem).partition(".")[0]))


def _trained(record: Record, settings: Settings, model: str, ds: date) -> Part:
    name = f"models/{settings.dataset}/{checked_name(model, 'model')}"
    trained = [part for part in record.written(name) if part.ds == str(ds)]
    if not trained:
        raise LineageError(
            f"no run on record trained {model} for {ds}; run `gatehouse train {model} --ds {ds}`"
        )
    return trained[-1]
