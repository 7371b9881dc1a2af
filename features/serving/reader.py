"""Read the rows of several views in one round trip, each distinct key once, and empty what is too old."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView

from features.serving.batch import ViewBatch
from features.stores.packed.backend import Backend, Read
from features.stores.packed.keys import encode_keys
from features.stores.packed.schema import ViewSchema
from features.stores.packed.unpack import MISSING, ViewRows
from features.stores.values import since_epoch

Ids: TypeAlias = "str | Sequence[str | None]"
"""An entity's id of each of N rows, None where it is not known; a string is that of all of them."""


@dataclass(frozen=True, slots=True)
class ReadView:
    """A view as lookups read it."""

    schema: ViewSchema
    ttl: timedelta

    @classmethod
    def of(cls, view: FeatureView) -> ReadView:
        return cls(ViewSchema.of(view), view.ttl or timedelta(0))


@dataclass(frozen=True, slots=True)
class Found:
    """What was read.

    Attributes:
        pointer: the pointer's text at that instant; see features.stores.packed.pointer.
        views: view name to its rows, of which none has been emptied for its age.
    """

    pointer: bytes | None
    views: dict[str, ViewBatch]

    def settled(self, views: Iterable[ReadView], instant: datetime) -> dict[str, ViewBatch]:
        """The same views without the values that are too old at `instant`."""
        return {
            view.schema.name: _without_stale(self.views[view.schema.name], view.ttl, instant)
            for view in views
        }


class ViewReader:
    """Reads views; those of one entity are read together."""

    def __init__(self, backend: Backend, views: Sequence[ReadView]) -> None:
        self._backend = backend
        entities = dict.fromkeys(view.schema.entity for view in views)
        self._groups = [
            tuple(view.schema for view in views if view.schema.entity == entity) for entity in entities
        ]

    def read(self, ids: Mapping[str, Ids], size: int) -> Found:
        """The rows of `size` requested rows, whose key columns are `ids`.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        keyed = [_distinct([ids[key] for key in group[0].keys], size) for group in self._groups]
        reads = [Read(group, keys) for group, (keys, _) in zip(self._groups, keyed, strict=True)]
        pointer, found = self._backend.read(reads)
        views = {
            rows.schema.name: ViewBatch(rows, np.zeros(len(rows.events), np.bool_), index, size)
            for of_group, (_, index) in zip(found, keyed, strict=True)
            for rows in of_group
        }
        return Found(pointer, views)


def _distinct(columns: list[Ids], size: int) -> tuple[list[bytes], npt.NDArray[np.intp] | None]:
    """The distinct whole keys, and for each row which of them is its own; None where they are the same."""
    lists = [column for column in columns if not isinstance(column, str)]
    fixed = [column if isinstance(column, str) else None for column in columns]
    if not lists:
        return encode_keys([id_ or "" for id_ in fixed]), None if size == 1 else np.zeros(size, np.intp)
    rows = list(zip(*lists, strict=True))
    distinct = dict.fromkeys(rows)
    whole = [row for row in distinct if None not in row]
    varying = iter(zip(*whole, strict=True) if whole else [()] * len(lists))
    keys = encode_keys([next(varying) if id_ is None else id_ for id_ in fixed])
    if len(whole) == size:
        return keys, None
    place = {row: number for number, row in enumerate(whole)}
    return keys, np.array([place.get(row, -1) for row in rows], np.intp)


def _without_stale(batch: ViewBatch, ttl: timedelta, instant: datetime) -> ViewBatch:
    """Empty rows older than `ttl` at `instant`; Feast itself does not do so online."""
    if not ttl:
        return batch
    rows = batch.rows
    stale = (rows.events < since_epoch(instant - ttl)) & (rows.events != MISSING)
    if not stale.any():
        return batch
    kept = pa.array(~stale)
    emptied = ViewRows(
        rows.schema,
        rows.events,
        np.where(stale[:, None], np.float32(np.nan), rows.floats),
        rows.ints,
        rows.nulls | stale[:, None],
        {name: pc.if_else(kept, column, None) for name, column in rows.tails.items()},
        rows.unwritten,
    )
    return ViewBatch(emptied, stale, batch.index, batch.size)
