"""One feature row as bytes: a null mask, the numbers at fixed offsets, then text and lists as JSON.

    fingerprint, 4 bytes | null mask, a bit a feature | float32 and int64 features | JSON array of the others

A thousand rows of numbers decode as one NumPy record array. The fingerprint is that of the schema
the row was written under; a row of another schema is no row at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView
from feast.types import Float32, Int64

ColumnValues: TypeAlias = npt.NDArray[np.float32] | list[Any]
_NUMBERS = (Float32, Int64)
MISSING = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class ViewRows:
    """N rows of one view, as they were found.

    Attributes:
        events: int64 [N], event_timestamp in microseconds since 1970; MISSING where there is no row.
        columns: feature name to N values: float32 [N] with NaN, or a list with None, where there is none.
    """

    events: npt.NDArray[np.int64]
    columns: dict[str, ColumnValues]


class RowCodec:
    """Packs and unpacks the rows of one view.

    Attributes:
        types: feature name to Feast type, in order of names.
    """

    def __init__(self, view: FeatureView) -> None:
        self.types = {
            field.name: field.dtype for field in sorted(view.features, key=lambda field: field.name)
        }
        numbers = {
            name: "<f4" if dtype == Float32 else "<i8"
            for name, dtype in self.types.items()
            if dtype in _NUMBERS
        }
        self._numbers = tuple(numbers)
        self._others = tuple(name for name in self.types if name not in numbers)
        schema = ",".join(f"{name}:{dtype}" for name, dtype in self.types.items())
        self._fingerprint = hashlib.sha256(schema.encode()).digest()[:4]
        mask = (-(-len(self.types) // 8),)
        self._fixed = np.dtype([("_fingerprint", "S4"), ("_nulls", "u1", mask), *numbers.items()])

    def pack(self, table: pa.Table) -> list[bytes]:
        """One byte string for each row of `table`, which has all of the view's features."""
        fixed = np.zeros(table.num_rows, self._fixed)
        fixed["_fingerprint"] = self._fingerprint
        nulls = [table.column(name).is_null().to_numpy() for name in self.types]
        fixed["_nulls"] = np.packbits(np.stack(nulls, axis=1), axis=1)
        for name in self._numbers:
            missing = np.nan if self.types[name] == Float32 else 0
            fixed[name] = pc.fill_null(table.column(name), missing).to_numpy()
        size, numbers = self._fixed.itemsize, fixed.tobytes()
        heads = (numbers[start : start + size] for start in range(0, len(numbers), size))
        if not self._others:
            return list(heads)
        others = zip(*(table.column(name).to_pylist() for name in self._others), strict=True)
        return [head + _json(values) for head, values in zip(heads, others, strict=True)]

    def knows(self, row: bytes) -> bool:
        """Whether `row` was packed under this schema."""
        return row.startswith(self._fingerprint)

    def unpack(self, rows: Sequence[bytes | None], names: Sequence[str]) -> dict[str, ColumnValues]:
        """Values of the features `names`, for every row; None stands for a row that was not found."""
        found = np.array([row is not None for row in rows], bool)
        packed = [row for row in rows if row is not None]
        size = self._fixed.itemsize
        fixed = np.frombuffer(b"".join(row[:size] for row in packed), self._fixed)
        nulls = np.unpackbits(fixed["_nulls"], axis=1, count=len(self.types)).astype(bool)
        wanted = {name: self._others.index(name) for name in names if name in self._others}
        others = [json.loads(row[size:]) for row in packed] if wanted else []
        columns: dict[str, ColumnValues] = {}
        for name in names:
            if self.types[name] == Float32:
                values = np.full(len(rows), np.nan, np.float32)
                values[found] = fixed[name]
                columns[name] = values
                continue
            if name in wanted:
                present = iter([row[wanted[name]] for row in others])
            else:
                null = nulls[:, list(self.types).index(name)]
                present = iter([None if n else v for n, v in zip(null, fixed[name].tolist(), strict=True)])
            columns[name] = [next(present) if there else None for there in found]
        return columns


def _json(values: tuple[Any, ...]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
