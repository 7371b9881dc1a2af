"""A mapping file becomes a catalog, or an error that names what is wrong in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def test_mapped_auxiliary_asks_for_a_mapped_quantity(mapping_file: Path) -> None:
    asks = "auxiliaries: {dear: {quantity: paid, at_least: 20}}\n"
    mapping_file.write_text(MAPPING + "quantities: {paid: {column: price}}\n" + asks)
    (auxiliary,) = find_catalog("custom", mapping_file).auxiliaries
    assert (auxiliary.name, auxiliary.quantity.name, auxiliary.at_least) == ("dear", "paid", 20.0)

    mapping_file.write_text(MAPPING + asks)
    with pytest.raises(DeclarationError, match=r"dear asks for the quantity paid.*it has none"):
        find_catalog("custom", mapping_file)


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


def test_column_that_is_a_category_and_a_number_is_refused(mapping_file: Path) -> None:
    mapping_file.write_text(MAPPING.replace("numbers: [age]", "numbers: [country]"), encoding="utf-8")
    with pytest.raises(DeclarationError, match="user_profile declares country twice"):
        find_catalog("custom", mapping_file)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00", b"[" * 1500, b"2022-02-30", b"a: 0x_", b"9" * 6000, b"!!python/object:os.system x",
        b"2001-01-01 00:00:00 +99:99", b"? {a: 1}\n: 2", b"!!float x", b"&a [*a]", b"\0",
    ],
    ids=lambda content: ascii(content[:12]),
)  # fmt: skip
def test_file_that_makes_a_yaml_reader_stumble_is_refused_in_one_line(
    mapping_file: Path, content: bytes
) -> None:
    mapping_file.write_bytes(content)
    with pytest.raises(DeclarationError) as refused:
        load_mapping(mapping_file)
    assert "\n" not in str(refused.value)


def test_folder_is_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="cannot be read"):
        load_mapping(tmp_path)


# The fields of a mapping with values of any kind, beside YAML that has nothing to do with one.
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates()
    | st.sampled_from(["click", "s", "uid", "../x", "a b", "*.csv"])
)  # fmt: skip
_ANY = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_PATHS = st.sampled_from(
    [
        ("events",), ("events", "user"), ("events", "time_unit"), ("labels",), ("labels", "click"),
        ("labels", "click", "prior"), ("labels", "click", "at_least"), ("users",), ("users", "categories"),
        ("windows",), ("sequence_length",), ("quantities",), ("min_volume_ratio",), ("auxiliaries",),
        ("unheard_of",),
    ]
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_PATHS, _ANY), min_size=1, max_size=3))
def test_mapping_with_any_values_becomes_a_catalog_or_an_error(
    mapping_file: Path, changes: list[tuple[tuple[str, ...], Any]]
) -> None:
    mapping = yaml.safe_load(MAPPING)
    for path, value in changes:
        place = mapping
        for step in path[:-1]:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[path[-1]] = value
    assert_mapping_or_error(mapping_file, yaml.safe_dump(mapping, allow_unicode=True).encode())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text(alphabet="{}[]:-&*!|>%@`?,#'\" \n\tab019.~<=", max_size=60))
def test_any_file_becomes_a_catalog_or_an_error(mapping_file: Path, content: bytes | str) -> None:
    assert_mapping_or_error(mapping_file, content if isinstance(content, bytes) else content.encode())


def assert_mapping_or_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with suppress(DeclarationError):
        find_catalog("custom", path)
