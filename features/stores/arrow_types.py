"""The Arrow type of each declared type."""

from __future__ import annotations

import pyarrow as pa

from features.declarations.features import DType

ARROW_TYPES = {
    DType.FLOAT: pa.float32(),
    DType.INT: pa.int64(),
    DType.STRING: pa.string(),
    DType.STRINGS: pa.list_(pa.string()),
    DType.INTS: pa.list_(pa.int64()),
}
