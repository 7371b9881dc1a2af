"""From stored values to columns, all rows of a shape at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.declarations.features import DType
from features.stores.arrow_types import ARROW_TYPES
from features.stores.errors import StoreError
from features.stores.packed.pack import ORDERED
from features.stores.packed.schema import PIECES, ViewSchema
from features.stores.packed.shapes import ID_BYTES, Shape

MISSING = np.iinfo(np.int64).min
Places: TypeAlias = "npt.NDArray[np.intp] | slice"
Column: TypeAlias = "npt.NDArray[np.float32] | pa.Array"
_EVERY = slice(None)


@dataclass(slots=True)
class ViewRows:
    """N rows of one view, as they were found.

    Attributes:
        schema: whose features these are.
        events: int64 [N], event_timestamp in microseconds since 1970; MISSING where there is no row.
        floats: float32 [N, floats of the schema], NaN where there is no value.
        ints: int64 [N, ints of the schema], 0 where there is no value.
        nulls: bool [N, masked features of the schema]; all True where there is no row.
        tails: text or list feature to its Arrow array of N.
        unwritten: bool [N, features of the schema], True where a row was written before the feature was
            declared; None when there is no such row.
    """

    schema: ViewSchema
    events: npt.NDArray[np.int64]
    floats: npt.NDArray[np.float32]
    ints: npt.NDArray[np.int64]
    nulls: npt.NDArray[np.bool_]
    tails: dict[str, pa.Array]
    unwritten: npt.NDArray[np.bool_] | None = None

    def column(self, name: str) -> Column:
        """The values of a feature: float32 [N], NaN where there is none, or an Arrow array with nulls.

        Raises:
            StoreError: the view has no such feature.
        """
        schema = self.schema
        match schema.kinds.get(name):
            case None:
                raise StoreError(
                    f"view {schema.name} has no feature {name!r}; it has {', '.join(schema.names)}"
                )
            case DType.FLOAT:
                return self.floats[:, schema.floats.index(name)]
            case DType.INT:
                nulls = self.nulls[:, schema.masked.index(name)]
                return pa.array(self.ints[:, schema.ints.index(name)], mask=nulls)
            case _:
                return self.tails[name]


def unpack(
    values: Sequence[bytes | None],
    schemas: Sequence[ViewSchema],
    find: Callable[[bytes], Shape | None],
) -> list[ViewRows]:
    """The rows of each of `schemas` in `values`, of which None is a key that has none.

    A feature that a row's own schema does not have under the same type has no value there.

    Args:
        values: N values of one entity.
        schemas: views to read, as they are registered now.
        find: shape of an id; a value of no known shape counts as none.
    """
    by_shape = _by_shape(values, find)
    if len(by_shape) == 1 and isinstance(by_shape[0][1], slice):
        shape, _, found = by_shape[0]
        heads = _heads(shape, found)
        return [_whole(schema, shape, heads, found) for schema in schemas]
    rows = [blank_rows(schema, len(values)) for schema in schemas]
    for shape, places, found in by_shape:
        heads = _heads(shape, found)
        for into in rows:
            place = shape.place(into.schema.name)
            if place is not None:
                _fill(into, shape, place, heads, places, found)
    return rows


def _heads(shape: Shape, found: list[bytes]) -> npt.NDArray[np.uint8]:
    """The fixed parts of values of one shape, behind each other."""
    size = shape.size
    heads = found if not shape.has_tails else [value[:size] for value in found]
    return np.frombuffer(b"".join(heads), np.uint8)


def _whole(schema: ViewSchema, shape: Shape, heads: npt.NDArray[np.uint8], found: list[bytes]) -> ViewRows:
    """The view's rows where all values are of one shape: looked at where they lie, if nothing has changed."""
    place = shape.place(schema.name)
    if place is None or shape.views[place] != schema:
        rows = blank_rows(schema, len(found))
        if place is not None:
            _fill(rows, shape, place, heads, _EVERY, found)
        return rows
    row = _rows(shape, place, heads)
    nulls = _nulls(schema, row)
    tails = _tails(shape, place, row, heads, found) if schema.pieces else {}
    for name, column in tails.items():
        null = nulls[:, schema.masked.index(name)]
        tails[name] = pa.compute.if_else(pa.array(null), None, column) if null.any() else column
    none = (len(found), 0)
    return ViewRows(
        schema,
        (row["event"].astype(np.uint64) ^ ORDERED).view(np.int64),
        row["floats"] if schema.floats else np.empty(none, np.float32),
        row["ints"] if schema.ints else np.empty(none, np.int64),
        nulls,
        tails,
    )


def _nulls(schema: ViewSchema, row: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """The null mask as bool [N, masked features]."""
    if not schema.masked:
        return np.empty((len(row), 0), np.bool_)
    return np.unpackbits(row["nulls"], axis=1, count=len(schema.masked)).astype(np.bool_)


def _by_shape(
    values: Sequence[bytes | None], find: Callable[[bytes], Shape | None]
) -> list[tuple[Shape, Places, list[bytes]]]:
    """Places and values of each shape."""
    found = [value for value in values if value is not None]
    ids = {value[:ID_BYTES] for value in found}
    if len(ids) == 1 and len(found) == len(values):
        shape = find(ids.pop())
        return [(shape, _EVERY, found)] if shape else []
    grouped: list[tuple[Shape, Places, list[bytes]]] = []
    for id_ in ids:
        shape = find(id_)
        places = [at for at, value in enumerate(values) if value is not None and value[:ID_BYTES] == id_]
        if shape:
            grouped.append((shape, np.array(places, np.intp), [values[at] or b"" for at in places]))
    return grouped


def blank_rows(schema: ViewSchema, rows: int) -> ViewRows:
    """Rows of which none was found."""
    return ViewRows(
        schema,
        np.full(rows, MISSING, np.int64),
        np.full((rows, len(schema.floats)), np.nan, np.float32),
        np.zeros((rows, len(schema.ints)), np.int64),
        np.ones((rows, len(schema.masked)), np.bool_),
        {name: pa.nulls(rows, ARROW_TYPES[schema.kinds[name]]) for name in (*schema.strings, *schema.lists)},
    )


def _fill(
    into: ViewRows, shape: Shape, place: int, heads: npt.NDArray[np.uint8], places: Places, found: list[bytes]
) -> None:
    """Put the rows of the view at `place` of `shape` into `places` of `into`."""
    old, new = shape.views[place], into.schema
    row = _rows(shape, place, heads)
    into.events[places] = (row["event"].astype(np.uint64) ^ ORDERED).view(np.int64)
    nulls = _nulls(old, row)
    tails = _tails(shape, place, row, heads, found) if old.pieces else {}
    if old != new:
        _fill_changed(into, old, row, nulls, tails, places)
        return
    if old.floats:
        into.floats[places] = row["floats"]
    if old.ints:
        into.ints[places] = row["ints"]
    into.nulls[places] = nulls
    for name, column in tails.items():
        _put_tail(into, name, places, column, nulls[:, old.masked.index(name)])


def _rows(shape: Shape, place: int, heads: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    """The fixed parts of the view at `place`, in `heads`, which has the fixed parts of all."""
    of_view = shape.views[place].fixed
    return np.ndarray(len(heads) // shape.size, of_view, heads, shape.offsets[place], (shape.size,))


def _fill_changed(
    into: ViewRows,
    old: ViewSchema,
    row: npt.NDArray[np.void],
    nulls: npt.NDArray[np.bool_],
    tails: dict[str, pa.Array],
    places: Places,
) -> None:
    """Put rows of another schema of the view in, feature by feature."""
    new = into.schema
    index = np.arange(len(into.events))[places]
    if into.unwritten is None:
        into.unwritten = np.zeros((len(into.events), len(new.features)), np.bool_)
    for number, (name, kind) in enumerate(new.features):
        if old.kinds.get(name) is not kind:
            into.unwritten[index, number] = True
        elif kind is DType.FLOAT:
            into.floats[index, new.floats.index(name)] = row["floats"][:, old.floats.index(name)]
        else:
            null = nulls[:, old.masked.index(name)]
            into.nulls[index, new.masked.index(name)] = null
            if kind is DType.INT:
                into.ints[index, new.ints.index(name)] = row["ints"][:, old.ints.index(name)]
            else:
                _put_tail(into, name, places, tails[name], null)


def _put_tail(
    into: ViewRows, name: str, places: Places, column: pa.Array, null: npt.NDArray[np.bool_]
) -> None:
    if null.any():
        column = pa.compute.if_else(pa.array(null), None, column)
    if isinstance(places, slice):
        into.tails[name] = column
        return
    order = np.arange(len(into.events))
    order[places] = len(into.events) + np.arange(len(places))
    into.tails[name] = pa.concat_arrays([into.tails[name], column]).take(pa.array(order))


def _tails(
    shape: Shape, place: int, row: npt.NDArray[np.void], heads: npt.NDArray[np.uint8], found: list[bytes]
) -> dict[str, pa.Array]:
    """Text and lists of the view at `place`, N of each."""
    schema = shape.views[place]
    lengths = row["lengths"].astype(np.int64)
    before = np.full(len(found), shape.size, np.int64)
    for earlier in range(place):
        if shape.views[earlier].pieces:
            before += _rows(shape, earlier, heads)["tail"]
    ends = before + row["tail"]
    data = b"".join(
        [value[start:end] for value, start, end in zip(found, before.tolist(), ends.tolist(), strict=True)]
    )
    # Of each row the pieces lie behind each other, and the rows behind each other.
    starts = (np.cumsum(lengths.ravel()) - lengths.ravel()).reshape(lengths.shape)
    columns: dict[str, pa.Array] = {}
    piece = 0
    for name in (*schema.strings, *schema.lists):
        kind = schema.kinds[name]
        these = slice(piece, piece + PIECES[kind])
        columns[name] = _column(kind, data, starts[:, these], lengths[:, these])
        piece += PIECES[kind]
    return columns


def _column(
    kind: DType, data: bytes, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> pa.Array:
    if kind is DType.STRING:
        return _strings(_gather(data, starts[:, 0], lengths[:, 0]), lengths[:, 0])
    if kind is DType.INTS:
        elements = pa.array(np.frombuffer(_gather(data, starts[:, 0], lengths[:, 0]), "<i8"))
        return pa.ListArray.from_arrays(_offsets(lengths[:, 0] // 8), elements)
    sizes = np.frombuffer(_gather(data, starts[:, 0], lengths[:, 0]), "<u4").astype(np.int64)
    text = _gather(data, starts[:, 1], lengths[:, 1])
    return pa.ListArray.from_arrays(_offsets(lengths[:, 0] // 4), _strings(text, sizes))


def _strings(text: bytes, lengths: npt.NDArray[np.int64]) -> pa.Array:
    buffers: list[Any] = [None, pa.py_buffer(_offsets(lengths)), pa.py_buffer(text)]
    return pa.StringArray.from_buffers(len(lengths), buffers[1], buffers[2])


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def _gather(data: bytes, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> bytes:
    """The byte strings at `starts`, behind each other."""
    if len(starts) == 1:
        return data[int(starts[0]) : int(starts[0] + lengths[0])]
    total = int(lengths.sum())
    shift = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return np.frombuffer(data, np.uint8)[shift + np.arange(total)].tobytes()
