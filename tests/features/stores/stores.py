"""Feast stores over small lake tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, ValueType
from feast.types import Float32, String

from features.store import open_store
from features.stores.source import LakeSource
from pipelines.lake import Lake
from tests.features.stores.tables import Row, write_rows

TTL = timedelta(days=2)
FIELDS = [
    Field(name="user_id", dtype=String),
    Field(name="item_id", dtype=String),
    Field(name="value", dtype=Float32),
]


def entities() -> list[Entity]:
    return [
        Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.STRING) for name in ("user", "item")
    ]


def service_store(folder: Path, rows: Iterable[Row], engine: str = "duckdb") -> FeatureStore:
    """A store with a view over `rows`, good for two days, and a service of it."""
    write_rows(Lake(folder), "t", rows)
    keys = entities()
    source = LakeSource(folder=folder / "t", name="t")
    view = FeatureView(name="view", entities=keys, schema=FIELDS, ttl=TTL, source=source)
    store = open_store(folder / "home")
    store.config.offline_store.engine = engine
    store.apply([*keys, view, FeatureService(name="service", features=[view])])
    return store
