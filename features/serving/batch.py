"""What a lookup gives back: columns, one matrix, and what became of each value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.declarations.features import DType
from features.serving.outputs import Outputs
from features.serving.served import Served
from features.stores.packed.unpack import MISSING, Column, ViewRows


class Status(IntEnum):
    """What became of a value that was asked for."""

    PRESENT = 0
    NULL = 1
    NOT_FOUND = 2
    STALE = 3
    DEFAULT = 4
    """The store did not answer; the value is the declared default."""

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass
class ViewBatch:
    """The rows of one view for N requested rows.

    Attributes:
        rows: the view's rows of D distinct keys, stale ones emptied.
        stale: bool [D], rows that were older than the view's TTL.
        index: int [N], for each requested row which of the D is its own, -1 where its key is not known;
            None where they are the same.
        size: N.
        unavailable: the store did not answer; the rows are declared defaults.
    """

    rows: ViewRows
    stale: npt.NDArray[np.bool_]
    index: npt.NDArray[np.intp] | None
    size: int
    unavailable: bool = False

    @cached_property
    def floats(self) -> npt.NDArray[np.float32]:
        """float32 [N, float features of the schema]."""
        return self._spread(self.rows.floats, np.nan)

    def column(self, name: str) -> Column:
        """The values of a feature: float32 [N], NaN where there is none, or an Arrow array with nulls."""
        if self.rows.schema.kinds.get(name) is DType.FLOAT:
            return self.floats[:, self.rows.schema.floats.index(name)]
        column = self.rows.column(name)
        if self.index is None or not isinstance(column, pa.Array):
            return column
        return column.take(pa.array(self.index, mask=self.index < 0))

    @property
    def shared(self) -> bool:
        """Whether one row of the view serves all N."""
        return len(self.rows.events) == 1 and self.index is not None and not self.index.any()

    @cached_property
    def statuses(self) -> npt.NDArray[np.uint8]:
        """What became of each value of the D distinct rows, [D, features of the schema in order of names]."""
        rows, schema = self.rows, self.rows.schema
        found = np.empty((len(rows.events), len(schema.names)), np.uint8)
        floats, masked = schema.places
        found[:, floats] = np.isnan(rows.floats)  # PRESENT or NULL
        found[:, masked] = rows.nulls
        if rows.unwritten is not None:
            found[rows.unwritten] = Status.NOT_FOUND
        found[rows.events == MISSING] = Status.NOT_FOUND
        found[self.stale] = Status.STALE
        if self.unavailable:
            found[:] = Status.DEFAULT
        return found

    @property
    def counts(self) -> Counter[Status]:
        """How many values of distinct keys were present, null, not found and stale."""
        found = np.bincount(self.statuses.ravel(), minlength=len(Status)).tolist()
        return Counter({status: found[status] for status in Status if found[status]})

    def status(self, name: str) -> npt.NDArray[np.uint8]:
        """What became of each value of a feature, [N]."""
        return self._spread(self.statuses[:, self.rows.schema.names.index(name)], Status.NOT_FOUND)

    @property
    def events(self) -> npt.NDArray[np.int64]:
        """Event time of each row, [N] microseconds since 1970; MISSING where there is no row."""
        return self._spread(self.rows.events, MISSING)

    @property
    def outdated(self) -> npt.NDArray[np.bool_]:
        """Whether each row was older than the view's TTL, [N]."""
        return self._spread(self.stale, False)

    def _spread(self, distinct: npt.NDArray[Any], missing: float) -> npt.NDArray[Any]:
        """The N rows of D distinct ones, without a copy where one serves for all."""
        if self.index is None:
            return distinct
        if self.shared:
            return np.broadcast_to(distinct[0], (self.size, *distinct.shape[1:]))
        if not len(distinct):
            return np.full((self.size, *distinct.shape[1:]), missing, distinct.dtype)
        spread = distinct[self.index]
        if (self.index < 0).any():
            spread[self.index < 0] = missing
        return spread


@dataclass
class FeatureBatch:
    """Features of N items for one request.

    Attributes:
        given: entity and context columns of the training set, N ids of each or one for all.
        views: view name to its rows.
        outputs: training-set column to its view and feature, in model order.
        instant: the instant that ages were judged at, UTC.
        size: N.
        degraded: whether the store was away and declared defaults stand for all features.
        served: the snapshot that the values are of; None when degraded.
    """

    given: Mapping[str, str | Sequence[str | None]]
    views: Mapping[str, ViewBatch]
    outputs: Outputs
    instant: datetime
    size: int
    degraded: bool = False
    served: Served | None = None

    @cached_property
    def ids(self) -> dict[str, pa.Array]:
        """Entity and context columns as Arrow, [N] each."""
        return {
            column: pa.repeat(pa.scalar(ids, pa.string()), self.size)
            if isinstance(ids, str)
            else pa.array(ids, pa.string())
            for column, ids in self.given.items()
        }

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Training-set column to N values: float32 NumPy, NaN where there is none, or Arrow with nulls."""
        features = {
            output: self.views[view].column(feature) for output, (view, feature) in self.outputs.items()
        }
        return {**self.ids, **features}

    def distinct_columns(self) -> dict[str, Column]:
        """As `columns`, but a column has one value where one serves for all N rows."""
        given = {
            column: pa.array([ids] if isinstance(ids, str) else ids, pa.string())
            for column, ids in self.given.items()
        }
        for output, (name, feature) in self.outputs.items():
            view = self.views[name]
            given[output] = view.rows.column(feature) if view.shared else view.column(feature)
        return given

    def matrix(self, names: Sequence[str] | None = None) -> npt.NDArray[np.float32]:
        """Numbers as float32 [N, K], NaN where there is none, in the order of `names`.

        Args:
            names: float32 and int64 columns; by default all of the service's, in its order.

        Raises:
            KeyError: one of `names` is not a number of the service.
        """
        plan = self.outputs.plan(None if names is None else tuple(names))
        whole = np.empty((self.size, plan.width), np.float32)
        for view, sources, targets in plan.floats:
            whole[:, targets] = self.views[view].floats[:, sources]
        for view, feature, target in plan.ints:
            numbers = pc.cast(self.views[view].column(feature), pa.float64(), safe=False)
            whole[:, target] = numbers.to_numpy(zero_copy_only=False)
        return whole

    def status(self, column: str) -> npt.NDArray[np.uint8]:
        """What became of each value of a column, [N] of `Status`."""
        view, feature = self.outputs[column]
        return self.views[view].status(feature)

    @cached_property
    def counts(self) -> dict[str, Counter[Status]]:
        """View name to how many values of distinct keys were present, null, not found and stale."""
        return {name: view.counts for name, view in self.views.items()}
