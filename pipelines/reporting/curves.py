"""Training curves: how each model learned, and which epoch was kept."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.reporting.blocks import Block, Figure, Note, Picture, Section
from pipelines.reporting.figures import Line, epoch_lines
from pipelines.reporting.words import enumerated
from pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Curve:
    """One model's curve, a value an epoch; `aucs` by task, None where undefined."""

    model: str
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    aucs: dict[str, tuple[float | None, ...]]

    @property
    def best_epoch(self) -> int:
        """The epoch with the least validation loss, from 1: its weights were kept."""
        return 1 + min(range(len(self.validation_loss)), key=self.validation_loss.__getitem__)


def curves(settings: Settings, ds: date) -> Section:
    """Loss of every model, and the models side by side in validation AUC."""
    names = list(settings.params.train.models)
    tasks = [task.name for task in settings.catalog.tasks]
    found = {
        name: read_curve(settings.models / name / f"ds={ds}" / "curves.csv", name, tasks) for name in names
    }
    trained = [curve for curve in found.values() if curve is not None]
    blocks = list(_figures(trained, tasks)) if trained else []
    if missing := [name for name, curve in found.items() if curve is None]:
        blocks.append(
            Note(f"{enumerated(missing)} of {ds}: not trained yet; `gatehouse train` trains all models.")
        )
    return Section("training", "Training", tuple(blocks))


def read_curve(path: Path, model: str, tasks: Sequence[str]) -> Curve | None:
    """The curve that training left, or None without one."""
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        return None
    return Curve(
        model,
        tuple(float(row["train_loss"]) for row in rows),
        tuple(float(row["validation_loss"]) for row in rows),
        {
            task: tuple(float(row[f"auc_{task}"]) if row.get(f"auc_{task}") else None for row in rows)
            for task in tasks
        },
    )


def _figures(trained: Sequence[Curve], tasks: Sequence[str]) -> Iterator[Block]:
    losses = tuple(
        Picture(
            epoch_lines(
                curve.model,
                [
                    Line("training", curve.train_loss),
                    Line("validation", curve.validation_loss, curve.best_epoch),
                ],
            ),
            f"Training and validation loss of {curve.model} by epoch",
        )
        for curve in trained
    )
    yield Figure(
        losses,
        "Loss by epoch (masked binary cross-entropy, summed over tasks). The ring marks the epoch whose "
        "weights were kept: the least validation loss. A widening gap to its right is overfitting.",
    )
    areas = tuple(
        Picture(
            epoch_lines(task, [Line(curve.model, curve.aucs[task]) for curve in trained]),
            f"Validation AUC of {task} by epoch, a line a model",
        )
        for task in tasks
    )
    yield Figure(areas, "AUC on the validation days by epoch, one panel a task.")
