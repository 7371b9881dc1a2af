"""Find a data set's catalog by name."""

from __future__ import annotations

from pathlib import Path

from features.declarations import kuairand_pure, movielens_100k, simulated
from features.declarations.catalog import Catalog
from features.declarations.errors import DeclarationError
from features.declarations.mapping import load_mapping, mapped_catalog

_DECLARED: dict[str, Catalog] = {
    catalog.dataset: catalog for catalog in (movielens_100k.CATALOG, kuairand_pure.CATALOG, simulated.CATALOG)
}
DATASETS = (*_DECLARED, "custom")


def find_catalog(dataset: str, mapping: Path | None = None) -> Catalog:
    """The catalog of `dataset`; `custom` is derived from its `mapping` file.

    Raises:
        DeclarationError: no such data set, or `custom` without a mapping.
    """
    if dataset in _DECLARED:
        return _DECLARED[dataset]
    if dataset != "custom":
        raise DeclarationError(f"unknown data set {dataset!r}; choose one of {', '.join(DATASETS)}")
    if mapping is None:
        raise DeclarationError(
            "data set custom needs a mapping file: set datasets.custom.mapping in params.yaml"
        )
    return mapped_catalog(load_mapping(mapping))
