"""One training run: encoded rows in, a model folder out; goes on from its checkpoint if it was killed."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path

import torch

from training.artifact import write_model
from training.card import Card
from training.checkpoint import Checkpoint, identity_of
from training.config import TrainConfig
from training.data.source import TrainingSet
from training.devices import find_device, use_available_cores
from training.distributed import joined, leads, processes
from training.loop import CHECKPOINT_STEPS, train
from training.models.build import build
from training.score import BATCH_SIZE, score
from training.watching import Watcher


def run(
    name: str,
    source: TrainingSet,
    target: Path,
    config: TrainConfig,
    *,
    dataset: str,
    licence: str,
    checkpoints: Path,
    device: str = "auto",
    watcher: Watcher | None = None,
    checkpoint_steps: int = CHECKPOINT_STEPS,
) -> Card:
    """Train the model `name`, score the test days and write both to `target`.

    Processes that torchrun started train it together, and the first one of them writes.

    Args:
        name: a model of training/models.
        source: the training set.
        target: the model folder, replaced in whole.
        config: hyperparameters, and each model's own settings.
        dataset: name of the data set, for the card.
        licence: of the training data, for the card.
        checkpoints: folder for the run's state; a state of other data or settings is not continued.
        device: "auto", "cpu" or "cuda".
        watcher: is told how it goes.
        checkpoint_steps: steps between checkpoints; there is one after each epoch, too.

    Returns:
        The model's card.

    Raises:
        BusyError: another process trains this model with the same checkpoints now.
    """
    use_available_cores()
    where = find_device(device)
    spec = source.encoder.spec
    torch.manual_seed(config.seed)
    model = build(name, spec, config)
    checkpoint = Checkpoint(
        checkpoints / f"{name}.pt",
        identity_of(
            model=name,
            settings=config.models.get(name, {}),
            config=config.model_dump(mode="json", exclude={"models"}),
            spec=spec.model_dump(mode="json"),
            data=source.fingerprint,
            device=where.type,
            processes=processes(),
            torch=torch.__version__,
        ),
    )
    with checkpoint.owned() if leads() else nullcontext():
        with joined(where):
            curve = train(
                model, source, config,
                device=where, checkpoint=checkpoint, watcher=watcher, checkpoint_steps=checkpoint_steps,
            )  # fmt: skip
        best = min(curve, key=lambda point: point.validation_loss)
        card = Card(
            model=name,
            dataset=dataset,
            service=spec.service,
            columns=tuple(sorted(spec.columns)),
            tasks=spec.tasks,
            days=source.days,
            rows={split: source.rows(split) for split in source.days},
            data=source.fingerprint,
            parameters=sum(weight.numel() for weight in model.parameters()),
            epochs=len(curve),
            best_epoch=best.epoch,
            validation_loss=round(best.validation_loss, 6),
            validation_auc={
                task: None if math.isnan(area) else round(area, 6)
                for task, area in zip(spec.tasks, best.auc, strict=True)
            },
            licence=licence,
        )
        if not leads():
            return card
        predictions = score(model, source.batches("test", BATCH_SIZE, where))
        write_model(target, model, source.encoder, config, card, curve, predictions)
        checkpoint.remove()
        return card
