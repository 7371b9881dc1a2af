"""Whether a model's input is still what the catalog declares: the same columns, encoded the same way."""

from __future__ import annotations

from collections.abc import Iterator

from features.declarations.catalog import Catalog
from features.declarations.features import Encoding
from training.data.spec import InputSpec
from training.errors import ArtifactError

_NUMBERS = {
    (False, False): Encoding.NUMERIC,
    (True, False): Encoding.LOG,
    (True, True): Encoding.ELAPSED,
}
"""What a number's `log` and `elapsed` were made of; see training.data.fit."""


def require_fit(catalog: Catalog, spec: InputSpec) -> None:
    """Let a model's input pass that a lookup of its feature service can fill.

    Raises:
        ArtifactError: a column of it is declared no longer, or is encoded in another way.
        DeclarationError: the catalog has no such feature service.
    """
    declared = {entity.column: Encoding.ID for entity in catalog.entities}
    declared |= {feature.name: feature.encoding for feature in catalog.context}
    declared |= {column: feature.encoding for column, feature in catalog.service_columns(spec.service)}
    for column, encoding in _encodings(spec):
        if column not in declared:
            raise ArtifactError(
                f"the model reads {column}, which feature service {spec.service} does not have; train it anew"
            )
        if encoding is not declared[column]:
            raise ArtifactError(
                f"the model reads {column} as {encoding}, which is declared as {declared[column]}; "
                "train it anew"
            )


def _encodings(spec: InputSpec) -> Iterator[tuple[str, Encoding | None]]:
    """Each column of the input and how it was encoded; None where no declaration leads there."""
    yield from ((field.column, field.encoding) for field in spec.ids)
    yield from ((field.column, _NUMBERS.get((field.log, field.elapsed))) for field in spec.numerics)
    yield from ((field.column, Encoding.SEQUENCE) for field in spec.sequences)
    if spec.ages is not None:
        yield spec.ages, Encoding.AGE
