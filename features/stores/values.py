"""Between Python and Feast: values as protobuf, instants as microseconds, keys in one order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from feast import FeatureView
from feast.protos.feast.types.Value_pb2 import Int64List, StringList
from feast.protos.feast.types.Value_pb2 import Value as ValueProto

from features.declarations.features import DType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def join_keys(view: FeatureView) -> list[str]:
    """The view's key columns, in order of their names."""
    return sorted(field.name for field in view.entity_columns)


def since_epoch(instant: datetime) -> int:
    """Microseconds since 1970; a naive instant is UTC, as everywhere in Feast."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def to_python(value: ValueProto) -> Any:
    """The value held, a list for a list; None for a null."""
    kind = value.WhichOneof("val")
    if kind is None or kind == "null_val":
        return None
    held = getattr(value, kind)
    return list(held.val) if kind.endswith("_list_val") else held


def to_proto(value: Any, kind: DType) -> ValueProto:
    """`value` as protobuf; None, and NaN of a float, become a null."""
    if value is None or (kind is DType.FLOAT and value != value):
        return ValueProto()
    match kind:
        case DType.FLOAT:
            return ValueProto(float_val=value)
        case DType.INT:
            return ValueProto(int64_val=value)
        case DType.STRING:
            return ValueProto(string_val=value)
        case DType.STRINGS:
            return ValueProto(string_list_val=StringList(val=value))
        case DType.INTS:
            return ValueProto(int64_list_val=Int64List(val=value))
