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
from features.stores.view_schema import schema_of

Ids: TypeAlias = "str | Sequence[str | None]"
"""An entity's id of each of N rows, None where it is not known; a string is that of all of them."""


@dataclass(frozen=True, slots=True)
class ReadView:
    """A view as lookups read it.

    Attributes:
        schema: its features.
        ttl: microseconds that a row may be old, the bound included; zero means any age.
    """

    schema: ViewSchema
    ttl: int

    @classmethod
    def of(cls, view: FeatureView) -> ReadView:
        return cls(schema_of(view), (view.ttl or timedelta(0)) // timedelta(microseconds=1))

    def oldest(self, now: int) -> int:
        """The first event time that is not too old at `now`, both in microseconds since 1970."""
        return now - self.ttl if self.ttl else MISSING


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
        now = since_epoch(instant)
        return {
            view.schema.name: _without_stale(self.views[view.schema.name], view.oldest(now)) for view in views
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
    if not lists:
        index = None if size == 1 else np.zeros(size, np.intp)
        return encode_keys([id_ for id_ in columns if isinstance(id_, str)]), index
    varying, index = _of_one(lists[0]) if len(lists) == 1 else _of_several(lists)
    waiting = iter(varying)
    return encode_keys([column if isinstance(column, str) else next(waiting) for column in columns]), index


def _of_one(ids: Sequence[str | None]) -> tuple[list[list[str]], npt.NDArray[np.intp] | None]:
    distinct = [id_ for id_ in dict.fromkeys(ids) if id_ is not None]
    return [distinct], _places(ids, distinct)


def _of_several(
    columns: list[Sequence[str | None]],
) -> tuple[list[list[str]], npt.NDArray[np.intp] | None]:
    rows = list(zip(*columns, strict=True))
    distinct = [row for row in dict.fromkeys(rows) if None not in row]
    whole = [[row[place] or "" for row in distinct] for place in range(len(columns))]
    return whole, _places(rows, distinct)


def _places(rows: Sequence[object], distinct: Sequence[object]) -> npt.NDArray[np.intp] | None:
    """Of each row its place in `distinct`, -1 where it is not there; None where they are the same."""
    if len(rows) == len(distinct):
        return None
    place = {row: number for number, row in enumerate(distinct)}
    return np.array([place.get(row, -1) for row in rows], np.intp)


def _without_stale(batch: ViewBatch, oldest: int) -> ViewBatch:
    """Empty rows of events before `oldest`, microseconds since 1970; Feast itself does not do so online."""
    rows = batch.rows
    if not len(rows.events) or rows.events.min() >= oldest:
        return batch
    stale = (rows.events < oldest) & (rows.events != MISSING)
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
