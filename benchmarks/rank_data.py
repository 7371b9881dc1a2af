"""What bench-rank ranks: KuaiRand's declarations, made-up values of 2,000 items, models of random weights."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from feast import FeatureStore

from features.declarations.entities import Entity
from features.declarations.features import DType, Feature
from features.declarations.groups import Profile, View
from features.declarations.kuairand_pure import CATALOG
from features.serving.lookup import FeatureLookup
from features.serving.online import packed_store
from features.serving.ranking import Ranker
from features.serving.served import Served, ServedView
from features.store import apply, open_store
from tests.training.rows import training_rows
from training.artifact import write_model
from training.card import Card
from training.config import TrainConfig
from training.data.fit import fit
from training.models.build import build

DS, INSTANT = date(2026, 1, 4), datetime(2026, 1, 5, tzinfo=UTC)
SERVICE = "ranker_v1"
USERS, ITEMS, OTHERS = 50, 2_000, 7
EVENTS = 15  # of a user's recent positives, as the training rows have at most


def write_trained(folder: Path, name: str, config: TrainConfig) -> None:
    """A model folder whose weights are random and whose gates are open."""
    rows = training_rows(CATALOG, rows=20_000, users=USERS, items=ITEMS)
    encoder = fit(CATALOG, SERVICE, rows)
    torch.manual_seed(0)
    model = build(name, encoder.spec, config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    card = Card(
        model=name, dataset=CATALOG.dataset, service=SERVICE,
        columns=tuple(sorted(encoder.spec.columns)), tasks=encoder.spec.tasks, days={}, rows={}, data="",
        parameters=0, epochs=0, best_epoch=0, validation_loss=0.0, validation_auc={},
        licence="made up",
    )  # fmt: skip
    write_model(folder, model, encoder, config, card, [], np.empty((0, len(card.tasks)), np.float32))


def ranker_of(folder: Path, store: FeatureStore) -> Ranker:
    return Ranker(folder, partial(FeatureLookup, store, CATALOG))


def served_store(home: Path) -> FeatureStore:
    """A Feast store whose online store, SQLite, serves every view."""
    store = open_store(home)
    apply(store, CATALOG, home / "lake")
    tables = {view.name: _table(view) for view in CATALOG.views}
    served = Served(
        dataset=CATALOG.dataset,
        ds=DS,
        views={
            name: ServedView(content="", rows=rows.num_rows, newest=INSTANT) for name, rows in tables.items()
        },
    )
    registered = [store.get_feature_view(name) for name in tables]
    online = packed_store(store)
    with online.building(store.config, registered, {}) as serve:
        for view, rows in zip(registered, tables.values(), strict=True):
            online.write_table(store.config, view, rows)
        serve(served.record())
    return store


def _table(view: View) -> pa.Table:
    """A row for every key; one value in twenty is null, and the lists of a row are of one length."""
    random = np.random.default_rng(sum(map(ord, view.name)))
    sizes = [_size(key) for key in view.keys]
    places = np.unravel_index(np.arange(np.prod(sizes)), sizes)
    rows = len(places[0])
    columns: dict[str, Any] = {
        key.column: _ids(key, place) for key, place in zip(view.keys, places, strict=True)
    }
    times = pa.array([INSTANT - timedelta(hours=1)] * rows, pa.timestamp("us", "UTC"))
    columns |= {"event_timestamp": times, "created_timestamp": times}
    columns |= {feature.name: _values(feature, rows, random) for feature in view.features}
    for link in view.links if isinstance(view, Profile) else ():
        columns[link.column] = _ids(link, random.integers(0, OTHERS, rows))
    return pa.table(columns)


def _size(entity: Entity) -> int:
    return {"user": USERS, "item": ITEMS, "scenario": 3}.get(entity.name, OTHERS)


def _ids(entity: Entity, numbers: Any) -> pa.Array:
    return pa.array([f"{entity.name}{number}" for number in numbers])


def _values(feature: Feature, rows: int, random: np.random.Generator) -> pa.Array:
    null = random.random(rows) < 0.05
    now = int(INSTANT.timestamp() * 1e6)
    match feature.dtype:
        case DType.FLOAT:
            return pa.array(random.exponential(9.0, rows).astype(np.float32), mask=null)
        case DType.INT:
            return pa.array(now - random.integers(1, 10**12, rows), mask=null)
        case DType.STRING:
            return pa.array(random.choice(["a", "b"], rows).tolist(), pa.string(), mask=null)
        case DType.STRINGS:
            entity = feature.name.removesuffix("_ids")
            drawn = random.integers(0, OTHERS, (rows, EVENTS))
            return pa.array([[f"{entity}{n}" for n in row] for row in drawn], pa.list_(pa.string()))
        case DType.INTS:
            drawn = now - np.sort(random.integers(1, 10**10, (rows, EVENTS)))
            return pa.array(drawn.tolist(), pa.list_(pa.int64()))
