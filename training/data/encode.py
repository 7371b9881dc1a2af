"""The encoder: from training-set columns to the arrays models read.

The same `Encoder.transform` serves training rows and online look-ups, so the two cannot drift apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.data.columns import Column, Lists, arrow, microseconds, numbers
from training.data.errors import EncodingError
from training.data.spec import EVENT_TIME, InputSpec, NumericField
from training.data.vocabulary import Vocabulary

DAY_MICROSECONDS = 86_400_000_000
HOUR_MICROSECONDS = 3_600_000_000

SPEC = "spec.json"
VOCABULARIES = "vocabularies.json"


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


def scaled(
    numerics: Sequence[NumericField], given: Mapping[str, Column], now: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Fields of equally many values before they are standardised, float64 [fields, N]."""
    values = np.stack([_values(field, given[field.column], now) for field in numerics])
    np.copyto(values, np.array([[field.default] for field in numerics]), where=np.isnan(values))
    logs = [place for place, field in enumerate(numerics) if field.log]
    values[logs] = np.log1p(np.maximum(values[logs], 0.0))
    return values


def column_of(columns: Mapping[str, Column] | pa.Table, name: str) -> Column:
    """The column called `name`.

    Raises:
        EncodingError: there is none.
    """
    try:
        return columns[name]
    except KeyError:
        raise EncodingError(
            f"column {name} is missing from the rows to encode; the encoder was fitted with it, "
            "so the feature service has changed since or the look-up left it out"
        ) from None


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
        numeric[:, places] = ((scaled(own, given, now) - mean) / std).T
    return numeric


def _values(field: NumericField, column: Column, now: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a field's column says, float64 [N], NaN where it says nothing."""
    values = numbers(column)
    # Instants of this age would lose their last hours in a float32, so they are subtracted first.
    return (now - values) / HOUR_MICROSECONDS if field.elapsed else values


def _given(spec: InputSpec, columns: Mapping[str, Column] | pa.Table) -> dict[str, Column]:
    """The columns that the specification names."""
    names = [field.column for field in spec.ids]
    names += [field.column for field in spec.numerics]
    names += [field.column for field in spec.sequences]
    if spec.ages is not None:
        names.append(spec.ages)
    if spec.ages is not None or any(field.elapsed for field in spec.numerics):
        names.append(EVENT_TIME)
    return {name: column_of(columns, name) for name in names}


def _common_length(given: Mapping[str, Column]) -> int:
    """N, of columns that have N values or one."""
    lengths = {len(column): name for name, column in given.items() if len(column) != 1}
    if len(lengths) > 1:
        told = ", ".join(f"{name} has {length}" for length, name in lengths.items())
        raise EncodingError(f"columns have either as many values as there are rows, or one; {told}")
    return next(iter(lengths), 1)
