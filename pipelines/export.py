"""Export: a trained model in a form that other runtimes load, in a folder of its own."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from features.declarations.names import checked_name
from pipelines.errors import OccupiedError
from pipelines.model_files import replaceable
from pipelines.observing.console import console
from pipelines.settings import Settings
from training.export import Format, export_model


def export(settings: Settings, ds: date, model: str, form: str, target: Path) -> None:
    """Write the model trained on the run that ends on `ds` into `target`, as "onnx" or "aotinductor".

    Raises:
        OccupiedError: `target` holds something else.
        SealError: the model is not there, or not whole.
        ExportError: the model cannot be written in this form, or not on this machine.
    """
    target = target.resolve()
    if not replaceable(target):
        raise OccupiedError(f"{target} exists and is not an exported model; name another folder with --to")
    written = Format(form)
    export_model(settings.models / checked_name(model, "model") / f"ds={ds}", written, target)
    console.print(f"{model} of {ds} is in [bold]{target}[/bold] as {written.file}")
