"""Responses as bytes: a column at a time, and what is the same in every row only once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from starlette.responses import Response

from features.serving.batch import FeatureBatch
from features.stores.packed.unpack import Column

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"


def json_reply(content: Any, status: int = 200) -> Response:
    """`content` as JSON; NumPy arrays are lists in it, NaN is null."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)
    return Response(body, status, media_type=JSON)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Why a request is refused."""
    text = detail.encode(errors="replace").decode()
    return Response(orjson.dumps({"detail": text}), status, headers, media_type=JSON)


def json_values(column: Column, dtype: type[np.floating[Any]] = np.float32) -> Any:
    """A column as orjson takes it; one value that is the same in all rows is written once and copied.

    Args:
        column: N values.
        dtype: how numbers are written: the shortest text of a float32, or that of the same number as float64.
    """
    if not isinstance(column, np.ndarray):
        return column.to_pylist()
    if len(column) > 1 and column.strides == (0,):
        one = orjson.dumps(column[:1].astype(dtype), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
        return repeated(one, len(column))
    return np.ascontiguousarray(column, dtype)


def repeated(value: bytes, times: int) -> orjson.Fragment:
    """A list of one JSON value several times."""
    return orjson.Fragment(b"[" + b",".join([value] * times) + b"]")


def arrow_reply(batch: FeatureBatch) -> Response:
    """The columns as an Arrow IPC stream; `degraded` and `instant` are in its schema's metadata."""
    columns = {name: _arrow(column) for name, column in batch.columns.items()}
    facts = {"degraded": str(batch.degraded).lower(), "instant": batch.instant.isoformat()}
    table = pa.table(columns).replace_schema_metadata(facts)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW)


def _arrow(column: Column) -> pa.Array:
    if not isinstance(column, np.ndarray):
        return column
    return pa.array(np.ascontiguousarray(column), from_pandas=True)  # NaN is null
