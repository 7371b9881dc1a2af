"""What a registered view's rows are packed by."""

from __future__ import annotations

from feast import FeatureView
from feast.types import Array, FeastType, Float32, Int64, String

from features.declarations.features import DType
from features.stores.errors import StoreError
from features.stores.packed.schema import ViewSchema
from features.stores.values import join_keys

_KINDS = (
    (Float32, DType.FLOAT),
    (Int64, DType.INT),
    (String, DType.STRING),
    (Array(String), DType.STRINGS),
    (Array(Int64), DType.INTS),
)


def schema_of(view: FeatureView) -> ViewSchema:
    """The schema of a view, as it is registered now.

    Raises:
        StoreError: a feature has a type that rows cannot hold.
    """
    features = sorted((field.name, _kind(view, field.name, field.dtype)) for field in view.features)
    return ViewSchema(view.name, tuple(join_keys(view)), tuple(features))


def _kind(view: FeatureView, name: str, dtype: FeastType) -> DType:
    for feast, kind in _KINDS:
        if dtype == feast:
            return kind
    known = ", ".join(str(feast) for feast, _ in _KINDS)
    raise StoreError(
        f"feature {name!r} of view {view.name} is a {dtype}; the online store holds {known}. "
        "Cast it where the view is declared"
    )
