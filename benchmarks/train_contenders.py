"""Other ways to train an MMoE: ours fed from a dictionary a row, and torch-rechub's with its own loader."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Generator, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.train_speed import Clock, OtherwiseFed, Speed
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.batch import Batch

TORCH_RECHUB = find_spec("torch_rechub") is not None
_FILES = ("ids", "numeric", "sequence", "ages", "mask", "scenario", "labels")


class RowDicts(Dataset[dict[str, Any]]):
    """The dataset that DeepCTR-like libraries are fed from: indexed by row, it gives a dictionary of fields.

    This is a small re-statement of that pattern, not code of any of them.
    """

    def __init__(self, arrays: EncodedArrays, split: str) -> None:
        spec = arrays.encoder.spec
        self.columns: dict[str, np.ndarray] = {
            name: np.array(arrays.column(name, split)) for name in ("ages", "mask", "scenario", "labels")
        }
        for file, fields in (("ids", spec.ids), ("numeric", spec.numerics), ("sequence", spec.sequences)):
            values = arrays.column(file, split)
            for place, field in enumerate(fields):
                self.columns[f"{file}.{field.column}"] = np.array(values[..., place])

    def __len__(self) -> int:
        return len(self.columns["labels"])

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {name: values[row] for name, values in self.columns.items()}


class RowDictSource(OtherwiseFed):
    """Batches that PyTorch's DataLoader collates out of a dictionary a row."""

    def __init__(self, arrays: EncodedArrays) -> None:
        super().__init__(arrays)
        self._spec = arrays.encoder.spec
        self._rows = RowDicts(arrays, "train")

    def shuffled_batches(self, split: str, size: int, device: torch.device, **_: Any) -> Generator[Batch]:
        for fields in DataLoader(self._rows, batch_size=size, shuffle=True):
            yield self._batch(fields).to(device)

    def _batch(self, fields: Mapping[str, torch.Tensor]) -> Batch:
        spec = self._spec

        def together(file: str, named: tuple[Any, ...]) -> torch.Tensor:
            return torch.stack([fields[f"{file}.{field.column}"] for field in named], dim=-1)

        return Batch(
            ids=together("ids", spec.ids).long(),
            numeric=together("numeric", spec.numerics),
            sequence=together("sequence", spec.sequences).long(),
            ages=fields["ages"],
            mask=fields["mask"],
            scenario=fields["scenario"].long(),
            labels=fields["labels"],
        )


class TorchRechub:
    """torch-rechub's MMoE, DataGenerator and MTLTrainer, with the same fields and widths as ours."""

    def __init__(self, arrays: EncodedArrays, config: TrainConfig, experts: int, tower: list[int]) -> None:
        from torch_rechub.basic.features import DenseFeature, SequenceFeature, SparseFeature
        from torch_rechub.models.multi_task import MMOE
        from torch_rechub.trainers import MTLTrainer

        spec, dim = arrays.encoder.spec, config.embedding_dim
        features: list[Any] = [
            SparseFeature(field.column, vocab_size=spec.tables[field.table], embed_dim=dim)
            for field in spec.ids
        ]
        features += [
            SequenceFeature(
                field.column, vocab_size=spec.tables[field.table], embed_dim=dim,
                pooling="mean", shared_with=field.table, padding_idx=0,
            )
            for field in spec.sequences
        ]  # fmt: skip
        features += [DenseFeature(field.column) for field in spec.numerics]
        rows = RowDicts(arrays, "train").columns
        self._labels = np.nan_to_num(rows["labels"])
        self._rows = {
            name.partition(".")[2]: values for name, values in rows.items() if name.partition(".")[2]
        }
        tasks = ["classification"] * len(spec.tasks)
        towers = [{"dims": tower} for _ in tasks]
        model = MMOE(features, tasks, experts, {"dims": list(config.hidden)}, towers)
        with contextlib.redirect_stdout(io.StringIO()):
            self._trainer = MTLTrainer(model, tasks, optimizer_params={"lr": config.lr}, n_epoch=1)
        self._size = config.batch_size

    def speed(self, steps: int) -> Speed:
        """The speed of `steps` steps, its loader's work included."""
        from torch_rechub.utils.data import DataGenerator

        rows = (steps + 2) * self._size
        x = {name: values[:rows] for name, values in self._rows.items()}
        y = self._labels[:rows]
        generator = DataGenerator(x, y)
        loader, _, _ = generator.generate_dataloader(
            x_val=x, y_val=y, x_test=x, y_test=y, batch_size=self._size
        )
        clock = Clock()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self._trainer.train_one_epoch(_Ticking(loader, clock))
        return clock.speed(self._size)


class _Ticking:
    """A loader that a clock ticks with."""

    def __init__(self, loader: DataLoader[Any], clock: Clock) -> None:
        self._loader = loader
        self._clock = clock

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            self._clock.tick()
            yield batch
        self._clock.tick()

    def __len__(self) -> int:
        return len(self._loader)
