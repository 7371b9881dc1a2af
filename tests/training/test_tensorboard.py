from __future__ import annotations

import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.tensorboard import TensorBoard
from training.watching import CurvePoint

POINTS = [
    CurvePoint(epoch=1, step=10, train_loss=0.7, validation_loss=0.6, auc=(0.5, math.nan)),
    CurvePoint(epoch=2, step=20, train_loss=0.5, validation_loss=0.4, auc=(0.75, math.nan)),
]


def watch(folder: Path, points: list[CurvePoint]) -> None:
    with TensorBoard(folder, ["click", "like"]) as board:
        for point in points:
            board.epoch_started(point.epoch, 2, 100)
            board.epoch_ended(point)


def written(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves by step: of files begun within one second, names do not tell which was first."""
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [
            (event.step, pytest.approx(event.value))
            for event in sorted(events.Scalars(tag), key=lambda event: event.step)
        ]
        for tag in events.Tags()["scalars"]
    }


def test_curves_are_written_by_step_and_undefined_areas_are_left_out(tmp_path: Path):
    watch(tmp_path, POINTS)
    assert written(tmp_path) == {
        "loss/train": [(10, 0.7), (20, 0.5)],
        "loss/validation": [(10, 0.6), (20, 0.4)],
        "auc/click": [(10, 0.5), (20, 0.75)],
    }


def test_curves_go_on_when_the_run_goes_on(tmp_path: Path):
    watch(tmp_path, POINTS[:1])
    watch(tmp_path, POINTS[1:])
    assert written(tmp_path)["loss/train"] == [(10, 0.7), (20, 0.5)]


def test_curves_start_afresh_when_the_run_does(tmp_path: Path):
    watch(tmp_path, POINTS)
    watch(tmp_path, POINTS[:1])
    assert written(tmp_path)["loss/train"] == [(10, 0.7)]
