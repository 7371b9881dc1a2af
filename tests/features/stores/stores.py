"""Feast stores over small lake tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import yaml
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, ValueType
from feast.types import Float32, String

from features.store import CONFIG, open_store
from features.stores.source import LakeSource
from pipelines.lake import Lake
from tests.features.stores.tables import START, At, Row, spine_of, write_rows

DAY = timedelta(days=1)
TTL = DAY * 2
# Two keys, one of them with a correction that was learnt of late; and a spine that asks for a third too.
ROWS = [
    Row("u", "i", START, START, 1.0),
    Row("u", "i", START + DAY, START + DAY, 2.0),
    Row("u", "i", START + DAY, START + 3 * DAY, 3.0),
    Row("v", "i", START, START, 4.0),
]
SPINE = spine_of([At("u", "i", START + 2 * DAY), At("v", "i", START), At("w", "i", START)])
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


def on_redis(path: Path, url: str, *, timeout: float = 5.0, engine: str = "duckdb") -> Path:
    """Write settings to `path` like the committed ones, with the online store at `url`."""
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    settings["online_store"] = {"type": settings["online_store"]["type"], "url": url, "timeout": timeout}
    settings["offline_store"]["engine"] = engine
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path
