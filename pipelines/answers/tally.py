"""Count the outcomes of a day, and keep the worst examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.declarations.catalog import Catalog
from pipelines.answers.compare import Compared
from pipelines.answers.logged import Answers
from pipelines.answers.outcome import UNEQUAL, Example, FeatureOutcome, Outcome

EXAMPLES = 5


class Tally:
    """Outcomes of one feature so far."""

    def __init__(self, column: str, view: str, keys: Sequence[str]) -> None:
        self._column = column
        self._view = view
        self._keys = keys
        self._counts = np.zeros(len(Outcome), np.int64)
        self._worst: list[tuple[float, Example]] = []

    def add(self, answers: Answers, compared: Compared) -> None:
        """Take in the outcomes of more answers."""
        self._counts += np.bincount(compared.outcomes, minlength=len(Outcome))
        online = answers.values[self._column]
        rows = np.flatnonzero(np.isin(compared.outcomes, UNEQUAL))
        distances = _distances(online.take(rows), compared.offline.take(rows))
        for place in np.argsort(-distances, kind="stable")[:EXAMPLES]:
            example = self._example(answers, online, compared.offline, int(rows[place]))
            self._worst.append((float(distances[place]), example))
        self._worst.sort(key=lambda ranked: -ranked[0])
        del self._worst[EXAMPLES:]

    def outcome(self) -> FeatureOutcome:
        return FeatureOutcome(
            column=self._column,
            view=self._view,
            counts={outcome.label: int(self._counts[outcome]) for outcome in Outcome},
            examples=tuple(example for _, example in self._worst),
        )

    def _example(
        self, answers: Answers, online: pa.ChunkedArray, offline: pa.ChunkedArray, row: int
    ) -> Example:
        request = answers.requests[answers.request[row]]
        return Example(
            ids={key: answers.ids[key][row].as_py() for key in self._keys},
            instant=request.instant.isoformat(),
            snapshot=str(request.served and request.served.ds),
            online=_text(online[row]),
            offline=_text(offline[row]),
        )


class Tallies:
    """Outcomes of all features so far."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._tallies: dict[str, Tally] = {}
        self.requests = 0
        self.rows = 0

    def add(self, answers: Answers, compared: Sequence[Compared]) -> None:
        """Take in what became of more answers."""
        self.requests += len(answers.requests)
        self.rows += len(answers.request)
        for own in compared:
            if own.column not in self._tallies:
                keys = [key.column for key in self._catalog.view(own.view).keys]
                self._tallies[own.column] = Tally(own.column, own.view, keys)
            self._tallies[own.column].add(answers, own)

    def outcomes(self) -> tuple[FeatureOutcome, ...]:
        return tuple(tally.outcome() for tally in self._tallies.values())


def _distances(online: pa.ChunkedArray, offline: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """How far values that differ are apart; infinitely where one is missing or they are no numbers."""
    if not (pa.types.is_float32(online.type) or pa.types.is_int64(online.type)):
        return np.full(len(online), np.inf)
    apart = pc.abs(
        pc.subtract(pc.cast(online, pa.float64(), safe=False), pc.cast(offline, pa.float64(), safe=False))
    )
    found: npt.NDArray[np.float64] = apart.to_numpy().astype(np.float64)
    return np.where(np.isnan(found), np.inf, found)


def _text(scalar: pa.Scalar) -> str:
    """A value as a person reads it, a float32 with as many digits as tell it from its neighbours."""
    value: Any = scalar.as_py()
    if value is None or value != value:
        return "null"
    if isinstance(value, float):
        return str(np.float32(value))
    return json.dumps(value, ensure_ascii=False)
