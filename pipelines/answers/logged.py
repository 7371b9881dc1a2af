"""A day's logged answers as tables that can be compared, a bounded number of rows at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.declarations.catalog import Catalog
from features.serving.answered import Answered, DayLog
from features.stores.arrow_types import ARROW_TYPES
from features.stores.values import since_epoch

ROWS = 10_000
"""Rows that are compared together; they and what is found offline take some 200 MB with 140 features."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to requests of one feature service; R rows.

    Attributes:
        service: its name.
        requests: the requests they come from, without their columns.
        request: int [R], the place in `requests` of each row's own.
        ids: entity columns, text.
        values: the service's columns as they were served.
        stale: view to bool [R], rows that were emptied because they were too old.
    """

    service: str
    requests: list[Answered]
    request: npt.NDArray[np.intp]
    ids: pa.Table
    values: pa.Table
    stale: dict[str, npt.NDArray[np.bool_]]

    @property
    def instants(self) -> npt.NDArray[np.int64]:
        """The instants that ages were judged at, [R] microseconds since 1970."""
        return np.array([since_epoch(own.instant) for own in self.requests], np.int64)[self.request]

    @property
    def served(self) -> npt.NDArray[np.int64]:
        """The instants of the snapshots that answered, [R] microseconds since 1970."""
        served = [since_epoch(own.served.instant) for own in self.requests if own.served]
        return np.array(served, np.int64)[self.request]


@dataclass(frozen=True, slots=True)
class _Tables:
    """One request's rows."""

    request: Answered
    ids: pa.Table
    values: pa.Table


class ComparableAnswers:
    """Those of a day's answers that can be compared, in chunks.

    Attributes:
        skipped: why a request was passed over so far, to how many were.
        snapshots: the served days that answered so far.
    """

    def __init__(self, log: DayLog, catalog: Catalog) -> None:
        self._log = log
        self._catalog = catalog
        self._services = {service.name for service in catalog.services}
        self.skipped: Counter[str] = Counter()
        self.snapshots: set[date] = set()

    def chunks(self, rows: int = ROWS) -> Iterator[Answers]:
        """Answers of one service and the same columns, `rows` rows or a few more at a time."""
        waiting: dict[tuple[str, ...], list[_Tables]] = {}
        sizes: Counter[tuple[str, ...]] = Counter()
        for tables in self._comparable():
            key = (tables.request.service, *tables.values.column_names)
            waiting.setdefault(key, []).append(tables)
            sizes[key] += len(tables.ids)
            if sizes[key] >= rows:
                del sizes[key]
                yield _answers(waiting.pop(key))
        for parts in waiting.values():
            yield _answers(parts)

    def _comparable(self) -> Iterator[_Tables]:
        for answered in self._log:
            if reason := self._reason_to_skip(answered):
                self.skipped[reason] += 1
                continue
            try:
                tables = self._tables(answered)
            except (KeyError, pa.ArrowInvalid, pa.ArrowTypeError):
                self.skipped["of entities or types that are declared otherwise now"] += 1
                continue
            if answered.served:
                self.snapshots.add(answered.served.ds)
            yield tables

    def _reason_to_skip(self, answered: Answered) -> str | None:
        if answered.served is None:
            return "degraded"
        if answered.served.dataset != self._catalog.dataset:
            return "of another data set"
        if answered.service not in self._services:
            return "of a service that is no longer declared"
        return None

    def _tables(self, answered: Answered) -> _Tables:
        """The request's rows with the columns that are declared.

        Raises:
            KeyError: an entity was not known then.
            ArrowInvalid, ArrowTypeError: a feature had another type.
        """
        entities = [entity.column for entity in self._catalog.entities]
        ids = {column: pa.array(answered.ids[column], pa.string()) for column in entities}
        values = {
            name: pa.array(answered.features[name], ARROW_TYPES[feature.dtype])
            for name, feature in self._catalog.service_columns(answered.service)
            if name in answered.features
        }
        without_columns = answered.model_copy(update={"ids": {}, "features": {}})
        return _Tables(without_columns, pa.table(ids), pa.table(values))


def _answers(parts: list[_Tables]) -> Answers:
    requests = [part.request for part in parts]
    sizes = [len(part.ids) for part in parts]
    first_rows = np.cumsum([0, *sizes[:-1]])
    emptied = {view for own in requests for view in own.stale}
    stale = {view: np.zeros(sum(sizes), np.bool_) for view in sorted(emptied)}
    for own, first in zip(requests, first_rows, strict=True):
        for view, rows in own.stale.items():
            stale[view][first + np.array(rows, np.intp)] = True
    return Answers(
        requests[0].service,
        requests,
        np.repeat(np.arange(len(parts)), sizes),
        pa.concat_tables([part.ids for part in parts]).combine_chunks(),
        pa.concat_tables([part.values for part in parts]).combine_chunks(),
        stale,
    )
