"""The response of Feast's feature server, byte for byte what it would say of the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from starlette.responses import Response

from features.serving.batch import ViewBatch
from features.serving.web.online_features import Plan
from features.serving.web.replies import json_reply, json_values, repeated
from features.stores.packed.unpack import MISSING
from features.stores.values import EPOCH

_PRESENT, _NOT_FOUND, _OUTSIDE_MAX_AGE = 0, 1, 2
_STATUSES = (b'"PRESENT"', b'"NOT_FOUND"', b'"OUTSIDE_MAX_AGE"')
_NEVER = b'"1970-01-01T00:00:00Z"'


def feast_reply(
    plan: Plan, entities: Mapping[str, Sequence[str]], views: Mapping[str, ViewBatch], size: int
) -> Response:
    """Entities, then features: N values, statuses and event times of each.

    Status and time of a value are those of its row, so they are written once a view.
    """
    of_entities = {
        "statuses": repeated(_STATUSES[_PRESENT], size),
        "event_timestamps": repeated(_NEVER, size),
    }
    of_views = {
        name: {"statuses": _statuses(view), "event_timestamps": _times(view.events)}
        for name, view in views.items()
    }
    results: list[dict[str, Any]] = [{"values": ids, **of_entities} for ids in entities.values()]
    results += [
        {"values": json_values(views[view].column(feature), np.float64), **of_views[view]}
        for view, feature in plan.features
    ]
    return json_reply({"results": results, "metadata": {"feature_names": [*entities, *plan.names]}})


def _statuses(view: ViewBatch) -> orjson.Fragment:
    codes = np.where(view.events == MISSING, _NOT_FOUND, np.where(view.outdated, _OUTSIDE_MAX_AGE, _PRESENT))
    return _chosen(_STATUSES, codes)


def _times(events: npt.NDArray[np.int64]) -> orjson.Fragment:
    distinct, places = np.unique(events, return_inverse=True)
    return _chosen([_NEVER if event == MISSING else _time(event) for event in distinct.tolist()], places)


def _chosen(texts: Sequence[bytes], places: npt.NDArray[np.intp]) -> orjson.Fragment:
    """The list of texts at `places`."""
    if len(places) and not (places != places[0]).any():
        return repeated(texts[places[0]], len(places))
    return orjson.Fragment(b"[" + b",".join([texts[place] for place in places.tolist()]) + b"]")


def _time(event: int) -> bytes:
    """Microseconds since 1970 as protobuf writes an instant: with 0, 3 or 6 digits after the second."""
    second, micros = divmod(event, 1_000_000)
    text = f"{EPOCH + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}"
    if micros:
        text += f".{micros // 1000:03d}" if micros % 1000 == 0 else f".{micros:06d}"
    return f'"{text}Z"'.encode()
