"""The catalog that a home's params.yaml names, for whoever reads features without the stages."""

from __future__ import annotations

from pathlib import Path

import yaml

from features.declarations.catalog import Catalog
from features.declarations.catalogs import find_catalog


def catalog_of(home: Path) -> Catalog:
    """The declarations of the data set in use; `home` holds params.yaml."""
    params = yaml.safe_load((home / "params.yaml").read_text(encoding="utf-8"))
    dataset = params["dataset"]
    mapping = params["datasets"][dataset].get("mapping")
    return find_catalog(dataset, home / mapping if mapping else None)
