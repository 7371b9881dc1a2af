"""Fit an encoder: vocabularies and scales, on the training days only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from features.declarations.catalog import Catalog
from features.declarations.entities import Entity
from features.declarations.features import Encoding, Feature
from features.declarations.groups import SequenceGroup
from training.data.columns import arrow, microseconds
from training.data.encode import Encoder, column_of, scaled
from training.data.errors import EncodingError
from training.data.spec import EVENT_TIME, AuxiliaryField, IdField, InputSpec, NumericField, SequenceField
from training.data.vocabulary import Vocabulary

MIN_ID_COUNT = 2
"""An id seen once teaches its embedding nothing but that row's labels; it stays unseen."""


def fit(catalog: Catalog, service: str, training_rows: pa.Table) -> Encoder:
    """Fit vocabularies and scales on the rows of the training days.

    Raises:
        EncodingError: no rows, a column is missing, or the service has more than one sequence group.
    """
    if training_rows.num_rows == 0:
        raise EncodingError(
            f"there are no training rows of {catalog.dataset} to fit on; check `split` in params.yaml"
        )
    ids = [
        IdField(column=entity.column, role=entity.role, encoding=Encoding.ID, table=entity.column)
        for entity in catalog.entities
    ]
    numerics: list[NumericField] = []
    sequences: list[SequenceField] = []
    ages: str | None = None
    for column, feature in _features(catalog, service):
        table = feature.vocabulary or column
        match feature.encoding:
            case Encoding.ID | Encoding.CATEGORY:
                ids.append(IdField(column=column, role=feature.role, encoding=feature.encoding, table=table))
            case Encoding.NUMERIC | Encoding.LOG | Encoding.ELAPSED:
                numerics.append(_fit_number(training_rows, column, feature))
            case Encoding.SEQUENCE:
                sequences.append(SequenceField(column=column, table=table))
            case Encoding.AGE:
                ages = column
    vocabularies = _fit_vocabularies(training_rows, ids, sequences, catalog.entities)
    spec = InputSpec(
        service=service,
        tasks=tuple(task.name for task in catalog.tasks),
        auxiliaries=tuple(
            AuxiliaryField(name=own.name, column=own.quantity.name, at_least=own.at_least)
            for own in catalog.auxiliaries
        ),
        ids=tuple(ids),
        numerics=tuple(numerics),
        sequences=tuple(sequences),
        ages=ages,
        sequence_length=_sequence_length(catalog, service),
        tables={table: len(vocabulary) for table, vocabulary in vocabularies.items()},
    )
    return Encoder(spec, vocabularies)


def _features(catalog: Catalog, service: str) -> Iterator[tuple[str, Feature]]:
    """Training-set columns that become inputs: the request's context, then the service's features."""
    yield from ((feature.name, feature) for feature in catalog.context)
    yield from catalog.service_columns(service)


def _fit_number(rows: pa.Table, column: str, feature: Feature) -> NumericField:
    field = NumericField(
        column=column,
        role=feature.role,
        log=feature.encoding is not Encoding.NUMERIC,
        elapsed=feature.encoding is Encoding.ELAPSED,
        default=float(feature.default or 0.0),
        mean=0.0,
        std=1.0,
    )
    now = microseconds(column_of(rows, EVENT_TIME)) if field.elapsed else np.zeros(1, np.int64)
    values = scaled([field], {column: column_of(rows, column)}, now)[0]
    spread = float(values.std())
    # A column that is constant in training says nothing; its units would be magnified a millionfold.
    return field.model_copy(update={"mean": float(values.mean()), "std": spread if spread > 1e-6 else 1.0})


def _fit_vocabularies(
    rows: pa.Table, ids: list[IdField], sequences: list[SequenceField], entities: tuple[Entity, ...]
) -> dict[str, Vocabulary]:
    """A vocabulary for each table, counted over all columns that share it."""
    columns: dict[str, list[pa.Array]] = {}
    for field in ids:
        columns.setdefault(field.table, []).append(arrow(column_of(rows, field.column)))
    for element in sequences:
        lists = arrow(column_of(rows, element.column)).cast(pa.list_(pa.string()))
        columns.setdefault(element.table, []).append(lists.flatten())
    rare = {entity.column for entity in entities}
    return {
        table: Vocabulary.fit(shared, min_count=MIN_ID_COUNT if table in rare else 1)
        for table, shared in columns.items()
    }


def _sequence_length(catalog: Catalog, service: str) -> int:
    views = (catalog.view(name) for name in catalog.service(service).views)
    groups = [view for view in views if isinstance(view, SequenceGroup)]
    if len(groups) > 1:
        raise EncodingError(
            f"feature service {service} has {len(groups)} sequence groups "
            f"({', '.join(group.name for group in groups)}); models read one"
        )
    return groups[0].length if groups else 0
