from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from features.declarations.catalog import Catalog
from features.declarations.simulated import CATALOG
from tests.training.rows import ASKING, days, training_rows
from training.checkpoint import Checkpoint
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.fit import fit
from training.data.write import write_encoded
from training.errors import DivergedError
from training.loop import train
from training.losses import masked_bce
from training.models.build import build
from training.score import BATCH_SIZE, logits
from training.watching import CurvePoint, Unwatched

CPU = torch.device("cpu")


def fresh(arrays: EncodedArrays, config: TrainConfig) -> nn.Module:
    torch.manual_seed(config.seed)
    return build("pooled_mlp", arrays.encoder.spec, config)


def validation_loss(model: nn.Module, arrays: EncodedArrays) -> float:
    labels = torch.from_numpy(arrays.column("labels", "validation")).double()
    values = logits(model, arrays.batches("validation", BATCH_SIZE, CPU))
    return float(masked_bce(values.double(), labels))


def same(one: nn.Module, other: nn.Module) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class InterruptionError(Exception):
    pass


class Interrupting(Unwatched):
    """Breaks off after so many batches, as a kill would."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def advanced(self, rows: int) -> None:
        self.left -= rows > 0
        if self.left < 0:
            raise InterruptionError


class Breaking(nn.Module):
    """Gives NaN from its n-th training batch on."""

    def __init__(self, model: nn.Module, batches: int) -> None:
        super().__init__()
        self.model, self.left = model, batches

    def forward(self, batch):
        self.left -= self.training
        return self.model(batch) * (math.nan if self.left < 0 else 1.0)


def test_train_learns_the_planted_signal(arrays: EncodedArrays, config: TrainConfig):
    curve = train(fresh(arrays, config), arrays, config, device=CPU)
    assert curve[-1].train_loss < curve[0].train_loss
    assert max(point.auc[0] for point in curve) > 0.7


def test_train_gives_the_same_weights_when_run_twice(arrays: EncodedArrays, config: TrainConfig):
    one, other = fresh(arrays, config), fresh(arrays, config)
    assert train(one, arrays, config, device=CPU) == train(other, arrays, config, device=CPU)
    assert same(one, other)


def test_train_gives_other_weights_with_another_seed(arrays: EncodedArrays, config: TrainConfig):
    one, other = fresh(arrays, config), fresh(arrays, config)
    train(one, arrays, config, device=CPU)
    train(other, arrays, config.model_copy(update={"seed": 4}), device=CPU)
    assert not same(one, other)


def test_train_leaves_the_best_weights_when_all_epochs_ran(arrays: EncodedArrays, config: TrainConfig):
    overfitting = config.model_copy(update={"lr": 0.05, "epochs": 6, "patience": 6, "id_dropout": 0.0})
    model = fresh(arrays, overfitting)
    curve = train(model, arrays, overfitting, device=CPU)
    losses = [point.validation_loss for point in curve]
    assert len(curve) == 6
    assert min(losses) < losses[-1], "the last epoch is the best: this test would prove nothing"
    assert validation_loss(model, arrays) == pytest.approx(min(losses), abs=1e-9)


def test_train_stops_early_when_validation_gets_worse(arrays: EncodedArrays, config: TrainConfig):
    overfitting = config.model_copy(update={"lr": 0.05, "epochs": 40, "patience": 2, "id_dropout": 0.0})
    model = fresh(arrays, overfitting)
    curve = train(model, arrays, overfitting, device=CPU)
    best = min(curve, key=lambda point: point.validation_loss)
    assert len(curve) == best.epoch + 2 < 40
    assert validation_loss(model, arrays) == pytest.approx(best.validation_loss, abs=1e-9)


AVERAGED = {"ema_decay": 0.9, "embedding_decay": 0.01}  # the latter has tables stepped by rows


def test_train_keeps_the_running_mean_of_the_weights_when_asked_to(arrays, config):
    averaged, plain = fresh(arrays, config), fresh(arrays, config)
    one = config.model_copy(update={"epochs": 1})
    curve = train(averaged, arrays, one.model_copy(update={"ema_decay": 0.9}), device=CPU)
    train(plain, arrays, one, device=CPU)
    assert validation_loss(averaged, arrays) == pytest.approx(curve[0].validation_loss, abs=1e-9)
    assert curve[0].validation_loss != pytest.approx(validation_loss(plain, arrays), abs=1e-6)


def test_train_goes_on_from_the_weights_and_not_from_their_mean(arrays, config):
    averaged, plain = fresh(arrays, config), fresh(arrays, config)
    with_mean = train(averaged, arrays, config.model_copy(update={"ema_decay": 0.9}), device=CPU)
    without = train(plain, arrays, config, device=CPU)
    assert [point.train_loss for point in with_mean] == [point.train_loss for point in without]


@pytest.mark.parametrize("batches", [5, 16])
def test_train_continues_as_if_never_interrupted_with_averages_and_rows(arrays, config, tmp_path, batches):
    test_train_continues_as_if_it_had_never_been_interrupted(
        arrays, config.model_copy(update=AVERAGED), tmp_path, batches
    )


@pytest.mark.parametrize("batches", [3, 15, 16, 20])
def test_train_continues_as_if_it_had_never_been_interrupted(arrays, config, tmp_path, batches):
    undisturbed, continued = fresh(arrays, config), fresh(arrays, config)
    expected = train(undisturbed, arrays, config, device=CPU)
    checkpoint = Checkpoint(tmp_path / "run.pt", "identity")
    options = {"device": CPU, "checkpoint": checkpoint, "checkpoint_steps": 5}
    with pytest.raises(InterruptionError):
        train(fresh(arrays, config), arrays, config, watcher=Interrupting(batches), **options)
    torch.manual_seed(99)  # a new process would not have the random state either
    assert train(continued, arrays, config, **options) == expected
    assert same(undisturbed, continued)


def test_train_tells_its_device_and_from_which_step_it_continues(arrays, config, tmp_path):
    class Hearing(Interrupting):
        def started(self, device: str, step: int) -> None:
            told.append((device, step))

    told: list[tuple[str, int]] = []
    options = {"device": CPU, "checkpoint": Checkpoint(tmp_path / "run.pt", "a"), "checkpoint_steps": 5}
    with pytest.raises(InterruptionError):
        train(fresh(arrays, config), arrays, config, watcher=Hearing(8), **options)
    with pytest.raises(InterruptionError):
        train(fresh(arrays, config), arrays, config, watcher=Hearing(8), **options)
    device = "cpu" if torch.cuda.is_available() else "no CUDA device: training on the CPU"
    assert told == [(device, 0), (device, 5)]


def test_train_returns_at_once_when_the_checkpoint_is_of_a_finished_run(arrays, config, tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.pt", "identity")
    one, other = fresh(arrays, config), fresh(arrays, config)
    train(one, arrays, config, device=CPU, checkpoint=checkpoint)
    train(other, arrays, config, device=CPU, checkpoint=checkpoint, watcher=Interrupting(0))
    assert same(one, other)


def test_train_starts_afresh_when_the_checkpoint_belongs_to_another_run(arrays, config, tmp_path):
    train(fresh(arrays, config), arrays, config, device=CPU, checkpoint=Checkpoint(tmp_path / "run.pt", "a"))
    with pytest.raises(InterruptionError):
        train(
            fresh(arrays, config), arrays, config,
            device=CPU, checkpoint=Checkpoint(tmp_path / "run.pt", "b"), watcher=Interrupting(0),
        )  # fmt: skip


def test_train_names_epoch_and_batch_when_the_loss_is_not_finite(arrays, config, tmp_path):
    per_epoch = math.ceil(arrays.rows("train") / config.batch_size)
    checkpoint = Checkpoint(tmp_path / "run.pt", "identity")
    with pytest.raises(DivergedError, match="epoch 2, batch 3 "):
        train(
            Breaking(fresh(arrays, config), per_epoch + 3), arrays, config,
            device=CPU, checkpoint=checkpoint, checkpoint_steps=1,
        )  # fmt: skip
    weights = checkpoint.load()["model"]
    assert all(value.isfinite().all() for value in weights.values() if value.is_floating_point())


def test_train_tells_the_watcher_of_every_row_and_epoch(arrays, config):
    class Counting(Unwatched):
        def __init__(self) -> None:
            self.rows, self.epochs, self.points = 0, [], []

        def epoch_started(self, epoch: int, epochs: int, rows: int) -> None:
            self.epochs.append((epoch, epochs, rows))

        def advanced(self, rows: int) -> None:
            self.rows += rows

        def epoch_ended(self, point: CurvePoint) -> None:
            self.points.append(point)

    watcher = Counting()
    curve = train(fresh(arrays, config), arrays, config, device=CPU, watcher=watcher)
    assert watcher.points == curve
    assert watcher.rows == 3 * arrays.rows("train")
    assert watcher.epochs == [(epoch, 3, arrays.rows("train")) for epoch in (1, 2, 3)]


def test_train_learns_auxiliary_tasks_at_their_weight(tmp_path: Path, config: TrainConfig):
    rows = training_rows(ASKING, rows=800)

    def learnt(catalog: Catalog, weight: float) -> torch.Tensor:
        folder = tmp_path / f"{len(catalog.auxiliaries)}-{weight}"
        write_encoded(fit(catalog, "ranker_v1", rows.slice(0, 400)), rows, days(), folder, source="abc")
        own = config.model_copy(update={"auxiliary_weight": weight, "epochs": 1})
        model = fresh(EncodedArrays(folder), own)
        (point,) = train(model, EncodedArrays(folder), own, device=CPU)
        assert len(point.auc) == len(CATALOG.tasks)
        return model.state_dict()["inputs.embedding.weight"]

    assert torch.equal(learnt(ASKING, 0.0), learnt(CATALOG, 0.5))
    assert not torch.equal(learnt(ASKING, 0.25), learnt(ASKING, 0.5))
