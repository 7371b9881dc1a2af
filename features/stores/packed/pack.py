"""From an Arrow table to packed rows, a column at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.declarations.features import DType
from features.stores.packed.schema import ViewSchema
from features.stores.packed.shapes import Shape

ORDERED = np.uint64(1 << 63)
"""Turns the order of signed numbers into that of unsigned ones, and back."""


def pack(schema: ViewSchema, table: pa.Table, events: pa.Array, created: pa.Array) -> list[bytes]:
    """One value for each row of `table`, of the shape that has this view alone.

    Args:
        schema: the view's.
        table: N rows with all of the schema's features, in their Arrow types.
        events: int64 [N], microseconds since 1970.
        created: int64 [N], likewise.
    """
    rows = table.num_rows
    fixed = np.zeros(rows, np.dtype([("shape", "V4"), ("row", schema.fixed)]))
    fixed["shape"] = np.frombuffer(Shape((schema,)).id, "V4")
    row = fixed["row"]
    row["event"] = _ordered(events)
    row["created"] = _ordered(created)
    for place, name in enumerate(schema.floats):
        row["floats"][:, place] = _numpy(pc.fill_null(table.column(name), np.nan))
    for place, name in enumerate(schema.ints):
        row["ints"][:, place] = _numpy(pc.fill_null(table.column(name), 0))
    if schema.masked:
        nulls = [_numpy(table.column(name).is_null()) for name in schema.masked]
        row["nulls"] = np.packbits(np.stack(nulls, axis=1), axis=1)
    size, heads = fixed.itemsize, fixed
    if not schema.pieces:
        packed = heads.tobytes()
        return [packed[start : start + size] for start in range(0, len(packed), size)]
    pieces = [piece for name in (*schema.strings, *schema.lists) for piece in _pieces(table, schema, name)]
    for place, piece in enumerate(pieces):
        row["lengths"][:, place] = piece.lengths
    row["tail"] = row["lengths"].sum(axis=1)
    packed = heads.tobytes()
    tails = zip(*(piece.values() for piece in pieces), strict=True)
    return [packed[index * size : (index + 1) * size] + b"".join(tail) for index, tail in enumerate(tails)]


class _Piece:
    """N byte strings, one a row, of one buffer."""

    def __init__(self, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], data: bytes) -> None:
        self._starts = starts
        self.lengths = lengths
        self._data = data

    def values(self) -> list[bytes]:
        ends = (self._starts + self.lengths).tolist()
        return [self._data[start:end] for start, end in zip(self._starts.tolist(), ends, strict=True)]


def _pieces(table: pa.Table, schema: ViewSchema, name: str) -> list[_Piece]:
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # what combining no chunk at all gives
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = schema.kinds[name]
    if kind is DType.STRING:
        offsets, data = _text(column.cast(pa.large_binary()).fill_null(b""))
        return [_Piece(offsets[:-1], np.diff(offsets), data)]
    lists = column.cast(pa.large_list(column.type.value_type)).fill_null([])
    bounds = lists.offsets.to_numpy()
    starts, counts = bounds[:-1], np.diff(bounds)
    if kind is DType.INTS:
        data = _numpy(lists.values).astype("<i8").tobytes()
        return [_Piece(starts * 8, counts * 8, data)]
    offsets, data = _text(lists.values.cast(pa.large_binary()).fill_null(b""))
    lengths = np.diff(offsets).astype("<u4").tobytes()
    text = _Piece(offsets[starts], offsets[bounds[1:]] - offsets[starts], data)
    return [_Piece(starts * 4, counts * 4, lengths), text]


def _text(column: pa.Array) -> tuple[npt.NDArray[np.int64], bytes]:
    """Offsets [N + 1] and bytes of a large binary array without nulls."""
    whole = pa.concat_arrays([column, pa.array([], column.type)]) if column.offset else column
    _, offsets, data = whole.buffers()
    if offsets is None or not len(whole):
        return np.zeros(len(whole) + 1, np.int64), b""
    places = np.frombuffer(offsets, np.int64, len(whole) + 1)
    return places, b"" if data is None else data.to_pybytes()


def _ordered(times: pa.Array) -> npt.NDArray[np.uint64]:
    return np.asarray(_numpy(times)).astype(np.int64).view(np.uint64) ^ ORDERED


def _numpy(column: Any) -> npt.NDArray[Any]:
    if isinstance(column, pa.ChunkedArray):
        return np.asarray(column.to_numpy())
    return np.asarray(column.to_numpy(zero_copy_only=False))
