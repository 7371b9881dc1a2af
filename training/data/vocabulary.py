"""Vocabularies: strings to the indices of an embedding table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

UNSEEN = 0
"""The index of every missing string and of every string that the training days did not have."""


class Vocabulary:
    """Strings numbered from 1 in order; everything else is 0.

    Attributes:
        values: the strings; `values[i]` has index i + 1.
    """

    def __init__(self, values: Sequence[str]) -> None:
        self.values = tuple(values)
        self._index = {value: index for index, value in enumerate(self.values, start=1)}

    @classmethod
    def fit(cls, columns: Iterable[pa.Array], min_count: int = 1) -> Vocabulary:
        """Number the strings seen at least `min_count` times in `columns` together.

        The most frequent come first and equally frequent ones in order of their bytes, so that equal
        data gives equal indices.
        """
        values = pa.chunked_array([_strings(column) for column in columns], type=pa.string())
        counts = pc.value_counts(pc.drop_null(values)).flatten()
        table = pa.table({"value": counts[0], "count": counts[1]})
        table = table.filter(pc.greater_equal(table["count"], min_count))
        table = table.sort_by([("count", "descending"), ("value", "ascending")])
        return cls(table["value"].to_pylist())

    def __len__(self) -> int:
        """Size of the table these indices address: all strings, and index 0."""
        return len(self.values) + 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.values == other.values

    __hash__ = None  # type: ignore[assignment]

    def lookup(self, column: pa.Array) -> NDArray[np.int32]:
        """Index of each value, int32 [N].

        Only distinct values go through the index, so a constant column of any length costs one look-up.
        """
        if len(column) == 1:  # a request has dozens of these, for which Arrow's kernels are slow
            return np.array([self._index.get(_strings(column)[0].as_py(), UNSEEN)], np.int32)
        encoded = column if pa.types.is_dictionary(column.type) else _strings(column).dictionary_encode()
        distinct = _strings(encoded.dictionary).to_pylist()
        # One place more than there are distinct values: where nulls point to.
        codes = np.zeros(len(distinct) + 1, dtype=np.int32)
        codes[:-1] = [self._index.get(value, UNSEEN) for value in distinct]
        places = pc.fill_null(encoded.indices.cast(pa.int32()), len(distinct))
        positions: NDArray[np.int32] = places.to_numpy(zero_copy_only=False)
        return codes[positions]


def _strings(column: pa.Array) -> pa.Array:
    return column if column.type == pa.string() else column.cast(pa.string())
