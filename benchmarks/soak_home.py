"""A tiny home whose day and model can be changed while it is served, and what it must answer."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from features.declarations.entities import ITEM, SCENARIO, USER
from features.store import apply, open_store
from pipelines.days import DAY, Days, snapshot_instant
from pipelines.lake import Lake
from pipelines.settings import Settings
from tests.features.hand_made_lake import write_lake
from tests.homes import make_home
from tests.pipelines.assembled import DS, assembled
from tests.pipelines.published_models import write_verdict
from training.artifact import load_model
from training.data.spec import EVENT_TIME
from training.score import score_rows

MODEL = "pepnet"
IDS = 8
DAYS = Days(start=DS, end=DS + 9 * DAY)
GATEHOUSE = Path(sys.executable).with_name("gatehouse")


class Home:
    """Walks the part of the road that changes what is served, with the real commands.

    Args:
        folder: of the home.
        environment: of the commands.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.settings = assembled(partial(make_home, folder), rows=1500)
        write_lake(self.settings.lake, self.settings.catalog, DAYS, ids=IDS, aligned=True)
        self.environment = {
            **os.environ,
            **environment,
            "GATEHOUSE_HOME": str(folder),
            "OMP_NUM_THREADS": "1",
        }
        self.models: dict[str, Path] = {}
        self._days = itertools.cycle(DAYS)

    def gatehouse(self, *arguments: str) -> None:
        """Run a command.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            [GATEHOUSE, *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(
                f"gatehouse {' '.join(arguments)}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            )

    def materialize_next(self) -> date:
        """Serve the next day; after the last one the first again."""
        ds = next(self._days)
        self.gatehouse("materialize", "--ds", str(ds))
        return ds

    def publish_next(self) -> str:
        """Train with another seed, and publish; returns the new version.

        The verdict that lets it through is written by hand: a tiny log tells nothing of quality.
        """
        number = len(self.models) + 1
        self._reseed(number)
        self.gatehouse("train", MODEL)
        reference = f"{MODEL}@v{number}.0.0"
        trained = self.settings.models / MODEL / f"ds={DS}"
        kept = self.settings.home / "kept" / reference
        self.models[reference] = Path(shutil.copytree(trained, kept))
        write_verdict(self.settings, DS)
        self.gatehouse("publish")
        note = self.settings.home / "registry" / self.settings.dataset / "published.json"
        if (version := json.loads(note.read_text(encoding="utf-8"))["version"]) != f"v{number}.0.0":
            raise RuntimeError(f"{reference} was published as {version}")
        return reference

    def roll_back(self) -> None:
        self.gatehouse("models", "rollback", MODEL)

    def _reseed(self, seed: int) -> None:
        path = self.settings.home / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        params["train"]["seed"] = seed
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


class Oracle:
    """What must be answered, from the lake and from the trained models alone. Safe to share between threads.

    Args:
        home: whose lake and models they are.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._settings: Settings = home.settings
        self._lock = threading.Lock()
        self._tables: dict[date, pa.Table] = {}
        self._scores: dict[tuple[str, date, str, str], np.ndarray] = {}
        self._loaded: dict[str, Any] = {}
        self.ids = {entity: [f"{entity}-{number}" for number in range(IDS)] for entity in
                    (USER.name, ITEM.name, SCENARIO.name)}  # fmt: skip
        spine = itertools.product(*(self.ids[name] for name in (SCENARIO.name, USER.name, ITEM.name)))
        self._places = {row: place for place, row in enumerate(spine)}

    @cached_property
    def columns(self) -> list[str]:
        """The features of the service, in its order."""
        service = self._settings.params.features.service
        return [name for name, _ in self._settings.catalog.service_columns(service)]

    def features(self, ds: date, scenario: str, user: str, items: Sequence[str]) -> pa.Table:
        """The columns of a served day: Feast's historical join at the instant after it."""
        with self._lock:
            if ds not in self._tables:
                self._tables[ds] = self._join(ds)
            table = self._tables[ds]
        return table.take([self._places[scenario, user, item] for item in items])

    def scores(self, reference: str, ds: date, scenario: str, user: str, items: Sequence[str]) -> np.ndarray:
        """float32 [items, tasks] of a version on a served day."""
        key = (reference, ds, scenario, user)
        every = self.ids[ITEM.name]
        if key not in self._scores:
            table = self.features(ds, scenario, user, every)
            with self._lock:
                if reference not in self._loaded:
                    self._loaded[reference] = load_model(self._home.models[reference])
                model, encoder = self._loaded[reference]
                instant = snapshot_instant(ds)
                columns = {name: _column(table[name]) for name in table.column_names}
                columns |= {
                    feature.name: pa.array([str(instant.hour)] * len(every))
                    for feature in self._settings.catalog.context
                }
                columns[EVENT_TIME] = np.full(len(every), int(instant.timestamp() * 1_000_000), np.int64)
                self._scores[key] = score_rows(model, encoder.transform(columns))
        return self._scores[key][[every.index(item) for item in items]]

    def _join(self, ds: date) -> pa.Table:
        names = (SCENARIO, USER, ITEM)
        spine = {
            entity.column: pa.array([row[place] for row in self._places])
            for place, entity in enumerate(names)
        }
        spine |= self._links(spine)
        instants = pa.array([snapshot_instant(ds)] * len(self._places), pa.timestamp("us", "UTC"))
        store = open_store(self._settings.home)
        apply(store, self._settings.catalog, self._settings.lake)
        service = store.get_feature_service(self._settings.params.features.service)
        table = pa.table({**spine, "event_timestamp": instants})
        joined = store.get_historical_features(table, service, full_feature_names=True).to_arrow()
        return joined.select([*spine, *self.columns])

    def _links(self, spine: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Ids that a profile names, of each row of the spine."""
        lake, found = Lake(self._settings.lake), {}
        for profile in self._settings.catalog.profiles:
            table = f"features/{profile.name}"
            [file] = lake.manifest(table, None).files
            rows = pq.read_table(lake.folder(table, None) / file.name)
            for link in profile.links:
                [key] = profile.keys
                place = pc.index_in(spine[key.column], rows[key.column].combine_chunks())
                found[link.column] = rows[link.column].combine_chunks().take(place)
        return found


def _column(column: pa.ChunkedArray) -> Any:
    """As lookups give it: float32 NumPy with NaN, or Arrow."""
    whole = column.combine_chunks()
    if pa.types.is_floating(whole.type):
        return whole.cast(pa.float32()).to_numpy(zero_copy_only=False).astype(np.float32)
    return whole
