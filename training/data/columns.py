"""Arrow or NumPy columns as the plain arrays that encoding works on."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Column: TypeAlias = "pa.Array | pa.ChunkedArray | NDArray[Any]"


def arrow(column: Column) -> pa.Array:
    """The column as one Arrow array."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks()
    return column if isinstance(column, pa.Array) else pa.array(column)


def numbers(column: Column) -> NDArray[np.float64]:
    """The column as float64 [N], NaN where there is a null."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
        return column.astype(np.float64)
    values: NDArray[np.float64] = arrow(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def microseconds(column: Column) -> NDArray[np.int64]:
    """A timestamp column (or one of integers) as microseconds since 1970 UTC, int64 [N]."""
    values = arrow(column)
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us", tz=values.type.tz))
    instants: NDArray[np.int64] = values.cast(pa.int64()).to_numpy()
    return instants


class Lists:
    """A column of lists, laid out for padding: each row's first `length` elements, from the left.

    Attributes:
        elements: all elements, flat.
        lengths: int [N], elements kept of each row; a null list has none.
    """

    def __init__(self, column: Column, element: pa.DataType, length: int) -> None:
        lists = arrow(column).cast(pa.list_(element))
        offsets = lists.offsets.to_numpy()
        self.elements: pa.Array = lists.values.slice(offsets[0], offsets[-1] - offsets[0])
        held = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        self.lengths: NDArray[np.int64] = np.minimum(held, length).astype(np.int64)
        self._length = length
        self._starts = (offsets[:-1] - offsets[0]).astype(np.int64)

    def padded(self, values: NDArray[Any]) -> NDArray[Any]:
        """`values`, one for each of `elements`, as [N, length] with zeros behind each row's last."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        slots = np.arange(len(rows)) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        out = np.zeros((len(self.lengths), self._length), dtype=values.dtype)
        out[rows, slots] = values[self._starts[rows] + slots]
        return out
