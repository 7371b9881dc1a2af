"""Read the rows of one view from whatever online store there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import numpy as np
from feast import FeatureStore, FeatureView
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.types import Float32

from features.stores.online import PackedOnlineStore
from features.stores.packed import MISSING, ColumnValues, ViewRows
from features.stores.values import join_keys, since_epoch, to_python


def read_view(
    store: FeatureStore, view: FeatureView, keys: Sequence[tuple[str, ...]], names: Sequence[str]
) -> ViewRows:
    """Features `names` of `view` for `keys`, whose ids are in the order of `join_keys(view)`.

    Packed rows go straight to NumPy; any other store is asked through Feast.
    """
    online = store._get_provider().online_store  # Feast has no public way to its stores
    if isinstance(online, PackedOnlineStore):
        return online.read_rows(store.config, view, keys, names)
    return _through_feast(store, view, keys, names)


def _through_feast(
    store: FeatureStore, view: FeatureView, keys: Sequence[tuple[str, ...]], names: Sequence[str]
) -> ViewRows:
    types = {field.name: field.dtype for field in view.features}
    if not keys:
        return ViewRows(np.empty(0, np.int64), {name: _column([], types[name]) for name in names})
    ids = {name: list(column) for name, column in zip(join_keys(view), zip(*keys, strict=True), strict=True)}
    response = store.get_online_features(
        features=[f"{view.name}:{name}" for name in names], entity_rows=ids, full_feature_names=True
    ).proto
    vectors = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
    first = vectors[f"{view.name}__{names[0]}"]
    events = [
        MISSING if status == FieldStatus.NOT_FOUND else since_epoch(time.ToDatetime(tzinfo=UTC))
        for status, time in zip(first.statuses, first.event_timestamps, strict=True)
    ]
    columns = {
        name: _column([to_python(value) for value in vectors[f"{view.name}__{name}"].values], types[name])
        for name in names
    }
    return ViewRows(np.array(events, np.int64), columns)


def _column(values: list[Any], dtype: object) -> ColumnValues:
    if dtype == Float32:
        return np.array([np.nan if value is None else value for value in values], np.float32)
    return values
