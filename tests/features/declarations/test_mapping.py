"""A mapping file becomes a catalog, or an error that names what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.declarations.catalogs import find_catalog
from features.declarations.errors import DeclarationError
from features.declarations.mapping import load_mapping

MAPPING = """
events: {path: log.csv, user: uid, item: sku, time: at, scenario: page}
labels:
  click: {column: clicked, prior: 0.2}
users: {path: users.csv, id: uid, categories: [country], numbers: [age]}
windows: [1, 7]
"""


@pytest.fixture
def mapping_file(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def test_mapping_becomes_a_catalog_with_its_profiles(mapping_file: Path) -> None:
    catalog = find_catalog("custom", mapping_file)
    assert [task.name for task in catalog.tasks] == ["click"]
    columns = [column for column, _ in catalog.service_columns("ranker_v1")]
    assert {"user_profile__country", "user_profile__age", "item_engagement__click_rate_7d"} <= set(columns)


def test_mapped_quantity_becomes_means_of_user_and_item(mapping_file: Path) -> None:
    mapping_file.write_text(MAPPING + "quantities: {paid: {column: price, low: 0, default: 9.5}}\n")
    catalog = find_catalog("custom", mapping_file)
    assert [(quantity.name, quantity.low) for quantity in catalog.quantities] == [("paid", 0.0)]
    defaults = {column: feature.default for column, feature in catalog.service_columns("ranker_v1")}
    assert defaults["user_activity__paid_mean_7d"] == defaults["item_activity__paid_mean_7d"] == 9.5


def test_misspelt_entry_is_named_with_its_file(mapping_file: Path) -> None:
    mapping_file.write_text(MAPPING.replace("user: uid, item", "usr: uid, item"), encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"mapping\.yaml .*events\.user: Field required"):
        load_mapping(mapping_file)


def test_prior_outside_its_range_is_refused(mapping_file: Path) -> None:
    mapping_file.write_text(MAPPING.replace("0.2", "1.2"), encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"labels\.click\.prior"):
        load_mapping(mapping_file)


def test_label_name_that_is_no_identifier_is_refused(mapping_file: Path) -> None:
    mapping_file.write_text(MAPPING.replace("  click:", "  'Click!':"), encoding="utf-8")
    with pytest.raises(DeclarationError, match="not a valid name"):
        find_catalog("custom", mapping_file)


def test_missing_file_says_where_to_find_an_example(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"docs/data-contract\.md"):
        load_mapping(tmp_path / "absent.yaml")
