"""Compile a catalog to Feast's entities, feature views and feature services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import Array, Float32, Int64, String

from features.declarations import entities as declared
from features.declarations.catalog import Catalog
from features.declarations.features import DType, Feature
from features.declarations.groups import FeatureGroup, Profile, View
from features.stores.source import LakeSource

FEAST_TYPES = {
    DType.FLOAT: Float32,
    DType.INT: Int64,
    DType.STRING: String,
    DType.STRINGS: Array(String),
    DType.INTS: Array(Int64),
}


@dataclass(frozen=True, slots=True)
class FeastObjects:
    """What one catalog is in Feast."""

    entities: tuple[Entity, ...]
    views: tuple[FeatureView, ...]
    services: tuple[FeatureService, ...]

    def __iter__(self) -> Iterator[Entity | FeatureView | FeatureService]:
        """Every object, in the order Feast wants to learn of them."""
        yield from (*self.entities, *self.views, *self.services)


def compile_feast(catalog: Catalog, lake: Path) -> FeastObjects:
    """Feast's view of `catalog`, whose tables lie in the lake at `lake`.

    Every object is tagged with the data set, so that another data set's can be told apart.
    Link ids of a profile are fields of its view, for lookups to follow, but of no service.
    """
    tags = {"dataset": catalog.dataset}
    entities = {
        entity: Entity(
            name=entity.name,
            join_keys=[entity.column],
            value_type=ValueType.STRING,
            tags={**tags, "role": entity.role.value},
        )
        for entity in catalog.entities
    }
    views = {view.name: _view(view, entities, lake, tags) for view in catalog.views}
    services = tuple(
        FeatureService(
            name=service.name,
            features=[
                views[name][[feature.name for feature in catalog.view(name).features]]
                for name in service.views
            ],
            tags=tags,
        )
        for service in catalog.services
    )
    return FeastObjects(tuple(entities.values()), tuple(views.values()), services)


def _view(
    view: View, entities: dict[declared.Entity, Entity], lake: Path, tags: dict[str, str]
) -> FeatureView:
    table = f"features/{view.name}"
    keys = [Field(name=key.column, dtype=String) for key in view.keys]
    links = [
        Field(name=link.column, dtype=String, tags={"link": link.name}, description=f"the {link.name}'s id")
        for link in (view.links if isinstance(view, Profile) else ())
    ]
    return FeatureView(
        name=view.name,
        entities=[entities[key] for key in view.keys],
        ttl=view.ttl,
        schema=[*keys, *map(_field, view.features), *links],
        source=LakeSource(folder=lake / table, name=table, tags=tags),
        description=view.description,
        tags={**tags, "role": _role(view)},
    )


def _role(view: View) -> str:
    """A group's features share one role; sequences and profiles are named by what they are."""
    return view.role.value if isinstance(view, FeatureGroup) else view.features[0].role.value


def _field(feature: Feature) -> Field:
    return Field(
        name=feature.name,
        dtype=FEAST_TYPES[feature.dtype],
        description=feature.description,
        tags={"role": feature.role.value, "encoding": feature.encoding.value},
    )
