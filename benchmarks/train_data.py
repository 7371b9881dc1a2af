"""Encoded arrays of a log that NumPy makes up: KuaiRand's fields, and scenarios of very different sizes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from features.declarations.features import Encoding
from features.declarations.kuairand_pure import CATALOG
from training.data.arrays import EncodedArrays
from training.data.encode import Encoder
from training.data.spec import IdField, InputSpec, NumericField, SequenceField
from training.data.vocabulary import Vocabulary
from training.data.write import SPLITS
from training.sealed import sealed_folder

SERVICE = "ranker_v1"
LENGTH = 20
VALUES = {"user_id": 19_000, "item_id": 5_300, "author_id": 4_800, "tag_id": 44, "hour": 24}
OTHER_VALUES = 10
LARGEST, SMALLEST = 0.75, 0.003  # shares of the rows
SPLIT_ROWS = {"train": 120_000, "validation": 10_000, "test": 10_000}


def write_log(folder: Path, scenarios: int) -> EncodedArrays:
    """Write such a log of `scenarios` scenarios into `folder`; labels depend on user, item and scenario."""
    encoder = _encoder(scenarios)
    spec, rows = encoder.spec, sum(SPLIT_ROWS.values())
    random = np.random.default_rng(7)
    ids = np.stack([_skewed(random, spec.tables[field.table], rows) for field in spec.ids], axis=1)
    column = [field.column for field in spec.ids].index(spec.scenario_table)
    scenario = 1 + random.choice(scenarios, rows, p=_shares(scenarios)).astype(np.int32)
    ids[:, column] = scenario
    mask = np.arange(LENGTH) < random.integers(0, LENGTH + 1, rows)[:, None]
    sizes = [spec.tables[field.table] for field in spec.sequences]
    sequence = np.stack([_skewed(random, size, (rows, LENGTH)) for size in sizes], axis=2)
    taste = random.normal(size=(3, len(spec.tasks), max(spec.tables.values())))
    logits = sum(taste[place][:, ids[:, place]] for place in range(3)) - 1.0
    arrays = {
        "ids": ids,
        "numeric": random.normal(size=(rows, len(spec.numerics))).astype(np.float32),
        "sequence": sequence * mask[:, :, None],
        "ages": (random.exponential(3.0, (rows, LENGTH)) * mask).astype(np.float32),
        "mask": mask,
        "scenario": scenario,
        "labels": (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32).T.copy(),
        "user": ids[:, 0],
        "day": np.zeros(rows, np.int32),
    }
    with sealed_folder(folder) as staging:
        encoder.save(staging)
        for name, values in arrays.items():
            np.save(staging / f"{name}.npy", values)
        (staging / SPLITS).write_text(json.dumps({"source": "simulated", "splits": _splits()}), "utf-8")
    return EncodedArrays(folder)


def _encoder(scenarios: int) -> Encoder:
    ids = [
        IdField(column=e.column, role=e.role, encoding=Encoding.ID, table=e.column) for e in CATALOG.entities
    ]
    numerics, sequences, ages = [], [], None
    named = [(feature.name, feature) for feature in CATALOG.context]
    for column, feature in (*named, *CATALOG.service_columns(SERVICE)):
        table = feature.vocabulary or column
        match feature.encoding:
            case Encoding.ID | Encoding.CATEGORY:
                ids.append(IdField(column=column, role=feature.role, encoding=feature.encoding, table=table))
            case Encoding.SEQUENCE:
                sequences.append(SequenceField(column=column, table=table))
            case Encoding.AGE:
                ages = column
            case _:
                numerics.append(
                    NumericField(column=column, role=feature.role, log=False, default=0.0, mean=0.0, std=1.0)
                )
    values = VALUES | {"scenario_id": scenarios}
    tables = dict.fromkeys(field.table for field in (*ids, *sequences))
    words = {table: [str(value) for value in range(values.get(table, OTHER_VALUES))] for table in tables}
    spec = InputSpec(
        service=SERVICE,
        tasks=tuple(task.name for task in CATALOG.tasks),
        ids=tuple(ids),
        numerics=tuple(numerics),
        sequences=tuple(sequences),
        ages=ages,
        sequence_length=LENGTH,
        tables={table: len(strings) + 1 for table, strings in words.items()},
    )
    return Encoder(spec, {table: Vocabulary(strings) for table, strings in words.items()})


def _skewed(random: np.random.Generator, size: int, shape: int | tuple[int, ...]) -> np.ndarray:
    """Indices of a table of `size`, the first ones most often, 0 among them."""
    return (random.random(shape) ** 3 * size).astype(np.int32)


def _shares(scenarios: int) -> np.ndarray:
    """Falling shares from LARGEST to SMALLEST; three scenarios at least."""
    middle = np.geomspace(1.0, 0.5, scenarios - 2)
    rest = 1 - LARGEST - SMALLEST
    return np.array([LARGEST, *(middle / middle.sum() * rest), SMALLEST])


def _splits() -> dict[str, dict[str, object]]:
    splits, start = {}, 0
    for day, (name, rows) in enumerate(SPLIT_ROWS.items(), start=1):
        days = [f"2026-01-0{day}"] * 2
        splits[name] = {"start": start, "stop": start + rows, "days": days}
        start += rows
    return splits
