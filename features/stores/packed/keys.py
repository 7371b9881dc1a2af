"""Keys as bytes: of several ids, all but the last come with their length, so that no two keys are equal.

("123",) is 123, ("1", "23") is 1:1:23 and ("12", "3") is 2:12:3
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def encode_key(ids: Sequence[str]) -> bytes:
    """The key of `ids`, which are in order of the names of the join keys."""
    last = len(ids) - 1
    return b"".join(_part(id_.encode(), place == last) for place, id_ in enumerate(ids))


def encode_keys(columns: Sequence[str | Sequence[str]]) -> list[bytes]:
    """The key of each row; `columns` are those of the join keys, each N ids or one for all rows.

    One key is made when no column has N.
    """
    last = len(columns) - 1
    fixed: list[bytes | None] = []
    varying: list[list[bytes]] = []
    for place, column in enumerate(columns):
        if isinstance(column, str):
            fixed.append(_part(column.encode(), place == last))
        else:
            fixed.append(None)
            ids = [id_.encode() for id_ in column]
            varying.append(ids if place == last else [_part(id_, False) for id_ in ids])
    if len(varying) == 1:
        at = fixed.index(None)
        before, after = (b"".join(part or b"" for part in parts) for parts in (fixed[:at], fixed[at:]))
        return [before + part + after for part in varying[0]]
    if not varying:
        return [b"".join(part or b"" for part in fixed)]
    rows = iter(zip(*varying, strict=True))
    keys = []
    for row in rows:
        parts = iter(row)
        keys.append(b"".join(next(parts) if part is None else part for part in fixed))
    return keys


def encode_column(columns: Sequence[pa.ChunkedArray]) -> list[bytes]:
    """The key of each row; `columns` are those of the join keys, in order of their names."""
    *first, last = (column.cast(pa.binary()) for column in columns)
    parts = []
    for column in first:
        lengths = pc.binary_length(column).cast(pa.string()).cast(pa.binary())
        parts += [lengths, column]
    joined = pc.binary_join_element_wise(*parts, last, b":") if parts else last
    keys: list[bytes] = joined.to_pylist()
    return keys


def _part(id_: bytes, last: bool) -> bytes:
    return id_ if last else b"%d:%b:" % (len(id_), id_)
