from __future__ import annotations

from pathlib import Path

import pytest
from feast.types import Array, Int64, String

from features.compile.feast import compile_feast
from features.declarations.catalog import Catalog
from features.declarations.catalogs import find_catalog
from features.stores.source import LakeSource

LAKE = Path("/lake/simulated")


@pytest.fixture(params=["simulated", "movielens-100k", "kuairand-pure"])
def catalog(request: pytest.FixtureRequest) -> Catalog:
    return find_catalog(request.param)


def test_every_declared_view_has_its_keys_features_and_ttl(catalog: Catalog) -> None:
    compiled = {view.name: view for view in compile_feast(catalog, LAKE).views}
    assert list(compiled) == [view.name for view in catalog.views]
    for view in catalog.views:
        feast_view = compiled[view.name]
        assert [field.name for field in feast_view.entity_columns] == [key.column for key in view.keys]
        assert {feature.name for feature in view.features} <= {field.name for field in feast_view.features}
        assert feast_view.ttl == view.ttl
        assert feast_view.tags["dataset"] == catalog.dataset
        assert feast_view.batch_source.folder == LAKE / "features" / view.name


def test_service_has_exactly_the_catalogs_columns_and_no_links(catalog: Catalog) -> None:
    services = compile_feast(catalog, LAKE).services
    assert [service.name for service in services] == [service.name for service in catalog.services]
    for service in services:
        columns = [
            f"{projection.name}__{field.name}"
            for projection in service.feature_view_projections
            for field in projection.features
        ]
        assert columns == [name for name, _ in catalog.service_columns(service.name)]


def test_link_of_a_profile_is_a_field_of_its_view() -> None:
    compiled = compile_feast(find_catalog("kuairand-pure"), LAKE)
    (profile,) = (view for view in compiled.views if view.name == "item_profile")
    assert {"author_id", "tag_id"} <= {field.name for field in profile.features}


def test_lists_keep_their_element_types() -> None:
    compiled = compile_feast(find_catalog("simulated"), LAKE)
    (positives,) = (view for view in compiled.views if view.name == "user_positives")
    types = {field.name: field.dtype for field in positives.features}
    assert types["item_ids"] == Array(String)
    assert types["event_times"] == Array(Int64)


def test_source_is_the_same_after_feasts_registry_has_held_it() -> None:
    source = LakeSource(folder=LAKE / "t", name="t", description="d", tags={"a": "b"})
    restored = LakeSource.from_proto(source.to_proto())
    assert restored == source
    assert restored != LakeSource(folder=LAKE / "u", name="t", description="d", tags={"a": "b"})
