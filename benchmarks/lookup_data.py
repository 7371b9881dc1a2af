"""The rows that the lookup benchmarks read: 50 features of five views, from a seed, in each kind of store."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from feast import FeatureStore

from features.declarations.catalog import Catalog, Service, Task, Volume
from features.declarations.entities import ITEM, SCENARIO, USER, Entity
from features.declarations.features import Role
from features.declarations.groups import FeatureGroup
from features.declarations.measures import Count, Sum
from features.declarations.windows import days
from features.serving.online import packed_store
from features.serving.served import Served, ServedView
from features.store import CONFIG, apply, open_store

DS = date(2026, 1, 6)
EVENT = datetime(2026, 1, 7, tzinfo=UTC)
TASK = Task("click", prior=0.3)
WINDOWS = days(1, 2, 3, 5, 7)
ROWS, REQUEST = "rows", "request"
"""Two services: five views of the item alone, and one of each kind that a ranking request reads."""
SIZES = {USER: 20_000, ITEM: 20_000, SCENARIO: 10}


def _group(name: str, *keys: Entity) -> FeatureGroup:
    return FeatureGroup(name, keys, (Count(), Sum(TASK.name)), WINDOWS, Role.GENERAL)


OF_ROWS = tuple(_group(f"item_{letter}", ITEM) for letter in "abcde")
OF_REQUEST = (
    _group("of_user", USER),
    _group("of_scenario", SCENARIO),
    _group("of_user_scenario", USER, SCENARIO),
    OF_ROWS[0],
    _group("of_item_scenario", ITEM, SCENARIO),
)
CATALOG = Catalog(
    dataset="made-up",
    tasks=(TASK,),
    entities=(USER, ITEM, SCENARIO),
    views=(*OF_ROWS, *(view for view in OF_REQUEST if view not in OF_ROWS)),
    services=(
        Service(ROWS, tuple(view.name for view in OF_ROWS)),
        Service(REQUEST, tuple(view.name for view in OF_REQUEST)),
    ),
    volume=Volume(0.1, 10.0),
)


def store_of(home: Path, online_store: dict[str, Any]) -> FeatureStore:
    """A Feast store with the catalog's views and `online_store` as online store, nothing in it."""
    home.mkdir(parents=True)
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8")) | {"online_store": online_store}
    (home / "feature_store.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    store = open_store(home, home / "feature_store.yaml")
    apply(store, CATALOG, home / "lake")
    return store


def fill(store: FeatureStore, *, packed: bool) -> None:
    """Write every view's rows, through the packed store's own way or Feast's."""
    views = [(view, table(view)) for view in CATALOG.aggregates if isinstance(view, FeatureGroup)]
    if not packed:
        for view, rows in views:
            store.write_to_online_store(view.name, rows.to_pandas())
        return
    served = Served(
        dataset=CATALOG.dataset,
        ds=DS,
        views={view.name: ServedView(content="", rows=rows.num_rows, newest=EVENT) for view, rows in views},
    )
    registered = [store.get_feature_view(view.name) for view, _ in views]
    online = packed_store(store)
    with online.building(store.config, registered, {}) as serve:
        for of_feast, (_, rows) in zip(registered, views, strict=True):
            online.write_table(store.config, of_feast, rows)
        serve(served.record())


def table(view: FeatureGroup) -> pa.Table:
    """All rows of a view; one value in twenty is null."""
    random = np.random.default_rng(sum(map(ord, view.name)))
    sizes = [min(SIZES[key], 2_000) if len(view.keys) > 1 else SIZES[key] for key in view.keys]
    keys = np.unravel_index(np.arange(np.prod(sizes)), sizes)
    rows = len(keys[0])
    columns = {key.column: pa.array(ids.astype(str)) for key, ids in zip(view.keys, keys, strict=True)}
    times = pa.array([EVENT - timedelta(hours=1)] * rows, pa.timestamp("us", "UTC"))
    columns |= {"event_timestamp": times, "created_timestamp": times}
    for feature in view.features:
        values = np.floor(random.exponential(9.0, rows)).astype(np.float32)
        columns[feature.name] = pa.array(values, mask=random.random(rows) < 0.05)
    return pa.table(columns)


def ids(count: int, random: np.random.Generator) -> list[str]:
    """Distinct items of which every view has a row."""
    return [str(number) for number in random.choice(2_000, count, replace=False)]
