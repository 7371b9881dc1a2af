"""Which column of the training set is which feature of which view, and how they become one matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from features.declarations.catalog import Catalog
from features.declarations.features import DType
from features.stores.packed.schema import ViewSchema

Places: TypeAlias = "slice | npt.NDArray[np.intp]"


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """How numbers become columns of a matrix.

    Attributes:
        width: columns of the matrix.
        floats: view, places among its floats, places in the matrix.
        ints: view, feature, place in the matrix.
    """

    width: int
    floats: tuple[tuple[str, Places, Places], ...]
    ints: tuple[tuple[str, str, int], ...]


class Outputs(Mapping[str, tuple[str, str]]):
    """Training-set column to its view and feature, in model order.

    Args:
        catalog: declares them.
        service: the feature service that names the views.
        schemas: view name to its schema.
    """

    def __init__(self, catalog: Catalog, service: str, schemas: Mapping[str, ViewSchema]) -> None:
        self._columns = {
            f"{view}__{feature.name}": (view, feature.name)
            for view in catalog.service(service).views
            for feature in catalog.view(view).features
        }
        self._schemas = schemas
        self.plan = lru_cache(maxsize=32)(self._plan)

    def __getitem__(self, column: str) -> tuple[str, str]:
        return self._columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def _plan(self, names: tuple[str, ...] | None) -> MatrixPlan:
        """The plan for the columns `names`; for all numbers of the service when it is None.

        Raises:
            KeyError: one of `names` is not a number of the service.
        """
        numeric = {name: self[name] for name in self if self._kind(name) in (DType.FLOAT, DType.INT)}
        wanted = [numeric[name] for name in (numeric if names is None else names)]
        floats: dict[str, tuple[list[int], list[int]]] = {}
        ints = []
        for place, (view, feature) in enumerate(wanted):
            schema = self._schemas[view]
            if schema.kinds[feature] is DType.INT:
                ints.append((view, feature, place))
                continue
            sources, targets = floats.setdefault(view, ([], []))
            sources.append(schema.floats.index(feature))
            targets.append(place)
        return MatrixPlan(
            len(wanted),
            tuple((view, _range(sources), _range(targets)) for view, (sources, targets) in floats.items()),
            tuple(ints),
        )

    def _kind(self, column: str) -> DType:
        view, feature = self[column]
        return self._schemas[view].kinds[feature]


def _range(places: Sequence[int]) -> Places:
    """Places as a slice where they follow each other, which NumPy copies many times faster."""
    if list(places) == list(range(places[0], places[0] + len(places))):
        return slice(places[0], places[0] + len(places))
    return np.array(places, np.intp)
