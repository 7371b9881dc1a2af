"""Encoders: from training-set columns to the arrays models read. Fitted on the training days only.

The same `Encoder.transform` serves training rows and online look-ups, so the two cannot drift apart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.declarations.catalog import Catalog
from features.declarations.entities import USER, Entity
from features.declarations.features import Encoding, Feature
from features.declarations.groups import SequenceGroup
from training.data.columns import Column, Lists, arrow, microseconds, numbers
from training.data.errors import EncodedDataError, EncodingError
from training.data.spec import EVENT_TIME, AuxiliaryField, IdField, InputSpec, NumericField, SequenceField
from training.data.vocabulary import Vocabulary
from training.sealed import sealed_folder

DAY_MICROSECONDS = 86_400_000_000
HOUR_MICROSECONDS = 3_600_000_000
MIN_ID_COUNT = 2
"""An id seen once teaches its embedding nothing but that row's labels; it stays unseen."""
CHUNK = 65_536
"""Rows encoded at a time, so that memory does not grow with the training set."""

SPEC = "spec.json"
VOCABULARIES = "vocabularies.json"
SPLITS = "splits.json"


class DayRange(Protocol):
    """A closed range of UTC days."""

    @property
    def start(self) -> date: ...
    @property
    def end(self) -> date: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded rows, N of them, L positions of the recent positives.

    The recent positives have E rows: N, or one where one value of their columns stood for all.

    Attributes:
        ids: int32 [N, F_id], indices into each field's table.
        numeric: float32 [N, F_num], standardised.
        sequence: int32 [E, L, F_seq], newest first, 0 where padded.
        ages: float32 [E, L], days before the row's event, 0 where padded.
        mask: bool [E, L], True where there is an event.
        scenario: int32 [N], index of the scenario.
    """

    ids: NDArray[np.int32]
    numeric: NDArray[np.float32]
    sequence: NDArray[np.int32]
    ages: NDArray[np.float32]
    mask: NDArray[np.bool_]
    scenario: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Encoder:
    """An input specification and the vocabularies it refers to.

    Attributes:
        spec: the fields, in order of the arrays' last axes.
        vocabularies: one for each of `spec.tables`.
    """

    spec: InputSpec
    vocabularies: Mapping[str, Vocabulary]

    def transform(self, columns: Mapping[str, Column] | pa.Table) -> Encoded:
        """Encode rows; unknown strings become index 0, missing numbers their declared default.

        Args:
            columns: every column of the specification, and `event_timestamp` (a timestamp, or
                microseconds since 1970 UTC) where there are ages or elapsed hours. Each has N values,
                or one that stands for all N rows, which is then encoded once.

        Raises:
            EncodingError: a column is missing or of another length, or the lists of a row differ in length.
        """
        spec = self.spec
        given = _given(spec, columns)
        rows = _common_length(given)
        now = microseconds(given[EVENT_TIME]) if EVENT_TIME in given else np.zeros(1, np.int64)
        ids = np.empty((rows, len(spec.ids)), np.int32)
        for position, field in enumerate(spec.ids):
            ids[:, position] = self.vocabularies[field.table].lookup(arrow(given[field.column]))
        scenario = next(place for place, field in enumerate(spec.ids) if field.column == spec.scenario_table)
        sequence, ages, mask = self._recent(given, now)
        numeric = _standardised(spec.numerics, given, now, rows)
        return Encoded(ids, numeric, sequence, ages, mask, ids[:, scenario].copy())

    def _recent(
        self, given: Mapping[str, Column], now: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_]]:
        spec, length = self.spec, self.spec.sequence_length
        kinds = {field.column: pa.string() for field in spec.sequences}
        if spec.ages is not None:
            kinds[spec.ages] = pa.int64()
        lists = {column: Lists(given[column], kind, length) for column, kind in kinds.items()}
        lengths = {column: own.lengths for column, own in lists.items()}
        rows = max([1, *map(len, lengths.values()), *([len(now)] if spec.ages is not None else [])])
        first = next(iter(lengths.values()), np.zeros(1, np.int64))
        mask = np.broadcast_to(np.arange(length) < first[:, None], (rows, length)).copy()
        for column, held in lengths.items():
            if not np.array_equal(held, first):
                raise EncodingError(
                    f"the lists of {column} and {next(iter(lengths))} differ in length; "
                    "all lists of one sequence group describe the same events"
                )
        sequence = np.zeros((rows, length, len(spec.sequences)), dtype=np.int32)
        for position, field in enumerate(spec.sequences):
            own = lists[field.column]
            sequence[:, :, position] = own.padded(self.vocabularies[field.table].lookup(own.elements))
        ages = np.zeros((rows, length), dtype=np.float32)
        if spec.ages is not None:
            own = lists[spec.ages]
            times = own.padded(own.elements.to_numpy(zero_copy_only=False))
            np.copyto(ages, (now[:, None] - times) / DAY_MICROSECONDS, where=mask, casting="same_kind")
        return sequence, ages, mask

    def save(self, folder: Path) -> None:
        """Write spec.json and vocabularies.json into `folder`."""
        self.spec.save(folder / SPEC)
        values = {table: list(vocabulary.values) for table, vocabulary in self.vocabularies.items()}
        text = json.dumps(values, ensure_ascii=False, indent=0)
        (folder / VOCABULARIES).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """Read what `save` wrote."""
        values = json.loads((folder / VOCABULARIES).read_bytes())
        return cls(
            InputSpec.load(folder / SPEC), {table: Vocabulary(strings) for table, strings in values.items()}
        )


def fit(catalog: Catalog, service: str, training_rows: pa.Table) -> Encoder:
    """Fit vocabularies and scales on the rows of the training days.

    Raises:
        EncodingError: no rows, a column is missing, or the service has more than one sequence group.
    """
    if training_rows.num_rows == 0:
        raise EncodingError(
            f"there are no training rows of {catalog.dataset} to fit on; check `split` in params.yaml"
        )
    ids = [
        IdField(column=entity.column, role=entity.role, encoding=Encoding.ID, table=entity.column)
        for entity in catalog.entities
    ]
    numerics: list[NumericField] = []
    sequences: list[SequenceField] = []
    ages: str | None = None
    for column, feature in _features(catalog, service):
        table = feature.vocabulary or column
        match feature.encoding:
            case Encoding.ID | Encoding.CATEGORY:
                ids.append(IdField(column=column, role=feature.role, encoding=feature.encoding, table=table))
            case Encoding.NUMERIC | Encoding.LOG | Encoding.ELAPSED:
                numerics.append(_fit_number(training_rows, column, feature))
            case Encoding.SEQUENCE:
                sequences.append(SequenceField(column=column, table=table))
            case Encoding.AGE:
                ages = column
    vocabularies = _fit_vocabularies(training_rows, ids, sequences, catalog.entities)
    spec = InputSpec(
        service=service,
        tasks=tuple(task.name for task in catalog.tasks),
        auxiliaries=tuple(
            AuxiliaryField(name=own.name, column=own.quantity.name, at_least=own.at_least)
            for own in catalog.auxiliaries
        ),
        ids=tuple(ids),
        numerics=tuple(numerics),
        sequences=tuple(sequences),
        ages=ages,
        sequence_length=_sequence_length(catalog, service),
        tables={table: len(vocabulary) for table, vocabulary in vocabularies.items()},
    )
    return Encoder(spec, vocabularies)


def write_encoded(
    encoder: Encoder, table: pa.Table, splits: Mapping[str, DayRange], folder: Path, *, source: str
) -> None:
    """Encode a training set into memory-mappable .npy files, one slice of rows for each split.

    Beside the arrays of `Encoded` there are labels (float32 [N, T + A], NaN where missing), user (int32 [N],
    numbers every user, unseen ones too), and day (int32 [N], days since 1970). `splits.json` holds each
    split's rows as [start, stop] and its days, and `source`, the content hash of the partition the rows
    come from. The folder appears whole; equal rows give equal bytes.

    Raises:
        EncodedDataError: the rows are not in order of time, or a split has none.
    """
    instants = microseconds(table[EVENT_TIME])
    if np.any(np.diff(instants) < 0):
        raise EncodedDataError("the training set is not sorted by event_timestamp; assemble it again")
    days = (instants // DAY_MICROSECONDS).astype(np.int32)
    bounds = {name: _rows_of(days, name, split) for name, split in splits.items()}
    users = arrow(table[USER.column]).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    with sealed_folder(folder) as staging:
        encoder.save(staging)
        np.save(staging / "labels.npy", encoded_labels(encoder.spec, table))
        np.save(staging / "user.npy", users.astype(np.int32))
        np.save(staging / "day.npy", days)
        _write_arrays(encoder, table, staging)
        text = json.dumps({"source": source, "splits": bounds}, indent=2)
        (staging / SPLITS).write_text(text + "\n", encoding="utf-8")


def encoded_labels(spec: InputSpec, table: pa.Table) -> NDArray[np.float32]:
    """Labels of the rows, float32 [N, T + A]: of the tasks, then of the auxiliary ones; NaN where missing."""
    outcomes = {
        column: arrow(table[column]).cast(pa.float32()).to_numpy(zero_copy_only=False)
        for column in spec.outcomes
    }
    labels = [outcomes[f"label_{task}"] for task in spec.tasks]
    for field in spec.auxiliaries:
        values = outcomes[field.column]
        reached = (values >= field.at_least).astype(np.float32)
        labels.append(np.where(np.isnan(values), np.float32("nan"), reached))
    return np.stack(labels, axis=1)


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - date(1970, 1, 1)).days


def _write_arrays(encoder: Encoder, table: pa.Table, folder: Path) -> None:
    files: dict[str, NDArray[Any]] = {}
    for start in range(0, table.num_rows, CHUNK):
        chunk = encoder.transform(table.slice(start, CHUNK))
        for field in fields(chunk):
            values = getattr(chunk, field.name)
            if field.name not in files:
                path = folder / f"{field.name}.npy"
                shape = (table.num_rows, *values.shape[1:])
                files[field.name] = np.lib.format.open_memmap(
                    path, mode="w+", dtype=values.dtype, shape=shape
                )
                _take_room(path)
            files[field.name][start : start + len(values)] = values


def _take_room(path: Path) -> None:
    """Have the disk set aside all of a file: on a full one, writing to its mapping would be SIGBUS."""
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _rows_of(days: NDArray[np.int32], name: str, split: DayRange) -> dict[str, Any]:
    first, last = day_number(split.start), day_number(split.end)
    start, stop = (int(row) for row in np.searchsorted(days, [first, last + 1]))
    if start == stop:
        raise EncodedDataError(
            f"the {name} days {split.start}..{split.end} have no rows; check `split` in params.yaml"
        )
    return {"start": start, "stop": stop, "days": [str(split.start), str(split.end)]}


def _features(catalog: Catalog, service: str) -> Iterator[tuple[str, Feature]]:
    """Training-set columns that become inputs: the request's context, then the service's features."""
    yield from ((feature.name, feature) for feature in catalog.context)
    yield from catalog.service_columns(service)


def _fit_number(rows: pa.Table, column: str, feature: Feature) -> NumericField:
    field = NumericField(
        column=column,
        role=feature.role,
        log=feature.encoding is not Encoding.NUMERIC,
        elapsed=feature.encoding is Encoding.ELAPSED,
        default=float(feature.default or 0.0),
        mean=0.0,
        std=1.0,
    )
    now = microseconds(_column(rows, EVENT_TIME)) if field.elapsed else np.zeros(1, np.int64)
    values = _scaled([field], {column: _column(rows, column)}, now)[0]
    spread = float(values.std())
    # A column that is constant in training says nothing; its units would be magnified a millionfold.
    return field.model_copy(update={"mean": float(values.mean()), "std": spread if spread > 1e-6 else 1.0})


def _standardised(
    numerics: Sequence[NumericField], given: Mapping[str, Column], now: NDArray[np.int64], rows: int
) -> NDArray[np.float32]:
    """All numeric fields, float32 [rows, F_num]; those of one value each are worked out once."""
    numeric = np.empty((rows, len(numerics)), dtype=np.float32)
    lengths = [max(len(given[field.column]), len(now) if field.elapsed else 1) for field in numerics]
    for length in set(lengths):
        places = [place for place, own in enumerate(lengths) if own == length]
        own = [numerics[place] for place in places]
        mean, std = (np.array([[getattr(field, of)] for field in own]) for of in ("mean", "std"))
        numeric[:, places] = ((_scaled(own, given, now) - mean) / std).T
    return numeric


def _scaled(
    numerics: Sequence[NumericField], given: Mapping[str, Column], now: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Fields of equally many values before they are standardised, float64 [fields, N]."""
    values = np.stack([_values(field, given[field.column], now) for field in numerics])
    np.copyto(values, np.array([[field.default] for field in numerics]), where=np.isnan(values))
    logs = [place for place, field in enumerate(numerics) if field.log]
    values[logs] = np.log1p(np.maximum(values[logs], 0.0))
    return values


def _values(field: NumericField, column: Column, now: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a field's column says, float64 [N], NaN where it says nothing."""
    values = numbers(column)
    # Instants of this age would lose their last hours in a float32, so they are subtracted first.
    return (now - values) / HOUR_MICROSECONDS if field.elapsed else values


def _fit_vocabularies(
    rows: pa.Table, ids: list[IdField], sequences: list[SequenceField], entities: tuple[Entity, ...]
) -> dict[str, Vocabulary]:
    """A vocabulary for each table, counted over all columns that share it."""
    columns: dict[str, list[pa.Array]] = {}
    for field in ids:
        columns.setdefault(field.table, []).append(arrow(_column(rows, field.column)))
    for element in sequences:
        lists = arrow(_column(rows, element.column)).cast(pa.list_(pa.string()))
        columns.setdefault(element.table, []).append(lists.flatten())
    rare = {entity.column for entity in entities}
    return {
        table: Vocabulary.fit(shared, min_count=MIN_ID_COUNT if table in rare else 1)
        for table, shared in columns.items()
    }


def _sequence_length(catalog: Catalog, service: str) -> int:
    views = (catalog.view(name) for name in catalog.service(service).views)
    groups = [view for view in views if isinstance(view, SequenceGroup)]
    if len(groups) > 1:
        raise EncodingError(
            f"feature service {service} has {len(groups)} sequence groups "
            f"({', '.join(group.name for group in groups)}); models read one"
        )
    return groups[0].length if groups else 0


def _given(spec: InputSpec, columns: Mapping[str, Column] | pa.Table) -> dict[str, Column]:
    """The columns that the specification names."""
    names = [field.column for field in spec.ids]
    names += [field.column for field in spec.numerics]
    names += [field.column for field in spec.sequences]
    if spec.ages is not None:
        names.append(spec.ages)
    if spec.ages is not None or any(field.elapsed for field in spec.numerics):
        names.append(EVENT_TIME)
    return {name: _column(columns, name) for name in names}


def _common_length(given: Mapping[str, Column]) -> int:
    """N, of columns that have N values or one."""
    lengths = {len(column): name for name, column in given.items() if len(column) != 1}
    if len(lengths) > 1:
        told = ", ".join(f"{name} has {length}" for length, name in lengths.items())
        raise EncodingError(f"columns have either as many values as there are rows, or one; {told}")
    return next(iter(lengths), 1)


def _column(columns: Mapping[str, Column] | pa.Table, name: str) -> Column:
    try:
        return columns[name]
    except KeyError:
        raise EncodingError(
            f"column {name} is missing from the rows to encode; the encoder was fitted with it, "
            "so the feature service has changed since or the look-up left it out"
        ) from None
