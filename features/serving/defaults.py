"""The declared defaults, for requests that the store does not answer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from features.declarations.catalog import Catalog
from features.serving.batch import ViewBatch
from features.stores.packed.schema import ViewSchema
from features.stores.packed.unpack import blank_rows


def default_batches(catalog: Catalog, schemas: Iterable[ViewSchema], size: int) -> dict[str, ViewBatch]:
    """Rows of `size` items in which each float feature has its declared default.

    Whole numbers, text and lists have no value: a model's encoder replaces them as it does missing ones.
    """
    batches = {}
    for schema in schemas:
        declared = {feature.name: feature.default for feature in catalog.view(schema.name).features}
        rows = blank_rows(schema, 1)
        for place, name in enumerate(schema.floats):
            default = declared.get(name)
            rows.floats[0, place] = np.nan if default is None else float(default)
        batches[schema.name] = ViewBatch(
            rows, np.zeros(1, np.bool_), np.zeros(size, np.intp), size, unavailable=True
        )
    return batches
