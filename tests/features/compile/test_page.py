"""docs/features.md is what the declarations say."""

from __future__ import annotations

import re
from dataclasses import replace

from features.compile.page import page
from features.declarations import measures
from features.declarations.catalogs import DATASETS, find_catalog
from pipelines.settings import CHECKOUT

CATALOGS = [find_catalog(dataset) for dataset in DATASETS if dataset != "custom"]


def test_the_committed_page_is_current() -> None:
    committed = (CHECKOUT / "docs" / "features.md").read_text(encoding="utf-8")
    assert committed == page(CATALOGS), "run `make docs` and commit docs/features.md"


def test_every_feature_of_every_view_has_a_row() -> None:
    for catalog in CATALOGS:
        rows = re.findall(r"^\| (\w+) \|", page([catalog]), re.MULTILINE)
        for view in catalog.views:
            assert {feature.name for feature in view.features} <= set(rows)


def test_the_page_speaks_of_every_measure() -> None:
    text = page([])
    for measure in measures.Measure.__args__:
        assert measure.__name__ in text


def test_a_changed_declaration_changes_the_page() -> None:
    catalog = CATALOGS[0]
    assert page([catalog]) != page([replace(catalog, views=catalog.views[:-1], services=())])
