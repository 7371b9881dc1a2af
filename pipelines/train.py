"""Train: one model on the validated training set, into a model folder."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from types import TracebackType

import structlog
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from pipelines.days import Days
from pipelines.errors import NotValidatedError
from pipelines.lake import Lake
from pipelines.observing.console import progress, stage
from pipelines.settings import Settings
from pipelines.training_sets import encoded_folder, training_set
from pipelines.verdicts import require_passed
from training.artifact import CURVES
from training.card import Card
from training.data.arrays import EncodedArrays
from training.data.source import TrainingSet
from training.data.streams import ParquetStream
from training.distributed import leads
from training.pace import Pace
from training.run import run
from training.tensorboard import TensorBoard
from training.watching import CurvePoint, Unwatched, Watcher, Watchers

_LICENCES = {
    "kuairand-pure": "CC BY-SA 4.0 (Gao et al., KuaiRand, CIKM 2022, https://kuairand.com).",
    "movielens-100k": (
        "GroupLens research licence: no commercial use without permission, no redistribution "
        "(Harper and Konstan, The MovieLens Datasets, 2015)."
    ),
    "simulated": "Made up by Gatehouse; no rights are reserved.",
}


def train(settings: Settings, ds: date, model: str) -> None:
    """Train `model` on the training set of the run that ends on `ds`.

    A run that was killed goes on from its checkpoint and ends in the same weights. Processes that
    torchrun started train one model together; the first one of them writes and reports.

    Raises:
        NotValidatedError: the training set has not passed its gate, or was not encoded since.
        UnknownModelError: there is no such model.
        BusyError: another process trains it on the same days now.
        DivergedError: the loss became NaN or infinite.
    """
    if not leads():
        _run(settings, ds, model, validated_arrays(settings, ds), Unwatched())
        return
    with stage(settings, "train", ds, model) as facts:
        arrays = validated_arrays(settings, ds)
        events = settings.runs / "tensorboard" / f"ds={ds}" / model
        pace = Pace()
        with _Bar(model) as bar, TensorBoard(events, arrays.encoder.spec.tasks) as curves:
            card = _run(settings, ds, model, arrays, Watchers(_Log(model), pace, bar, curves))
        facts |= {
            "rows": card.rows["train"],
            "parameters": card.parameters,
            "epochs": card.epochs,
            "best_epoch": card.best_epoch,
            "validation_loss": card.validation_loss,
            "train_loss": _train_loss(settings.models / model / f"ds={ds}" / CURVES, card.best_epoch),
            "samples_per_second": round(pace.rows_per_second) if pace.rows_per_second else None,
        }


def _run(settings: Settings, ds: date, model: str, arrays: EncodedArrays, watcher: Watcher) -> Card:
    return run(
        model,
        _source(settings, ds, arrays),
        settings.models / model / f"ds={ds}",
        settings.params.train,
        dataset=settings.dataset,
        licence=_LICENCES.get(settings.dataset, "As the owner of the log says."),
        checkpoints=settings.runs / "checkpoints" / f"ds={ds}",
        device=settings.device,
        watcher=watcher,
    )


def _train_loss(curves: Path, epoch: int) -> float:
    with curves.open(encoding="utf-8", newline="") as stream:
        losses = {int(line["epoch"]): float(line["train_loss"]) for line in csv.DictReader(stream)}
    return losses[epoch]


def _source(settings: Settings, ds: date, arrays: EncodedArrays) -> TrainingSet:
    """The arrays, or the files they were encoded from if those are to be streamed."""
    buffer = settings.params.train.shuffle_buffer
    if buffer == 0:
        return arrays
    return ParquetStream(
        Lake(settings.lake).files(training_set(settings.params.features.service), Days.one(ds)),
        arrays.encoder,
        settings.dataset_params.split.days(ds),
        buffer=buffer,
        fingerprint=arrays.fingerprint,
    )


def validated_arrays(settings: Settings, ds: date) -> EncodedArrays:
    """The encoded arrays of the training set that the gate let through.

    Raises:
        NotValidatedError: the gate has not passed it, or the arrays are of another training set.
    """
    lake, service = Lake(settings.lake), settings.params.features.service
    require_passed(lake, training_set(service), [ds])
    arrays = EncodedArrays(encoded_folder(lake, service, ds))
    if arrays.source != lake.manifest(training_set(service), ds).content:
        raise NotValidatedError(
            f"the encoded arrays of {service}, ds={ds}, are not of the training set that was validated; "
            f"run `gatehouse assemble --ds {ds}` again"
        )
    return arrays


class _Speed(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} rows/s", style="progress.data.speed")


class _Log(Unwatched):
    """Says on which device training runs, and whether it continues an interrupted run."""

    def __init__(self, model: str) -> None:
        self._log = structlog.get_logger().bind(model=model)

    def started(self, device: str, step: int) -> None:
        self._log.info("training", device=device)
        if step:
            self._log.info("continues from its checkpoint", step=step)


class _Bar(Unwatched):
    """Shows an epoch's progress on a terminal, and the validation loss of the epoch before."""

    def __init__(self, model: str) -> None:
        self._display = progress(
            TextColumn("{task.description}"), BarColumn(), _Speed(), TimeRemainingColumn()
        )
        self._model = model
        self._note = ""
        self._task = self._display.add_task(model)

    def __enter__(self) -> _Bar:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def epoch_started(self, epoch: int, epochs: int, rows: int) -> None:
        self._display.reset(
            self._task, total=rows, description=f"{self._model} epoch {epoch}/{epochs}{self._note}"
        )

    def advanced(self, rows: int) -> None:
        self._display.advance(self._task, rows)

    def epoch_ended(self, point: CurvePoint) -> None:
        self._note = f", validation loss {point.validation_loss:.4f}"
