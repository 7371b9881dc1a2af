"""Feast's online store in SQLite with one packed row per view and key.

Feast's own SQLite store has a row for each *feature* of a key; see docs/decisions for what that costs.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import FeastConfigBaseModel
from feast.types import from_feast_to_pyarrow_type

from features.stores.packed import MISSING, RowCodec, ViewRows
from features.stores.sql import listed, quoted
from features.stores.values import EPOCH, join_keys, since_epoch, to_proto, to_python

_KEYS_A_QUERY = 10_000  # SQLite takes 32,766 parameters at most


class PackedOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings in feature_store.yaml.

    Attributes:
        path: the database file.
    """

    type: Literal["features.stores.online.PackedOnlineStore"] = "features.stores.online.PackedOnlineStore"
    path: str


class PackedOnlineStore(OnlineStore):  # type: ignore[misc]
    """Of the rows written for a key, the one with the newest (event, created) is kept, of equals the last."""

    _versioned_read_supported = False  # spares Feast importing every other store to find out

    def __init__(self) -> None:
        self._local = threading.local()

    def write_table(self, config: RepoConfig, view: FeatureView, table: pa.Table) -> None:
        """Write all rows of `table` or none; it has the view's keys, features and time columns."""
        source = view.batch_source
        events = _microseconds(table.column(source.timestamp_field))
        created = _microseconds(table.column(source.created_timestamp_column))
        keys = map(_key, zip(*(table.column(name).to_pylist() for name in join_keys(view)), strict=True))
        self._upsert(config, view, zip(keys, events, created, RowCodec(view).pack(table), strict=True))

    def read_rows(
        self, config: RepoConfig, view: FeatureView, keys: Sequence[tuple[str, ...]], names: Sequence[str]
    ) -> ViewRows:
        """Features `names` of the rows of `keys`, whose ids are in order of the names of the join keys."""
        codec = RowCodec(view)
        found = self._find(config, view, codec, [_key(key) for key in keys])
        events = np.array([event for event, _ in found], np.int64)
        return ViewRows(events, codec.unpack([row for _, row in found], names))

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKeyProto, dict[str, ValueProto], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows that come as protobuf, as pushes do."""
        columns = {
            field.name: pa.array(
                [to_python(values.get(field.name, ValueProto())) for _, values, _, _ in data],
                from_feast_to_pyarrow_type(field.dtype),
            )
            for field in table.features
        }
        rows = RowCodec(table).pack(pa.table(columns))
        keys = [_key(_ids(key)) for key, _, _, _ in data]
        events = [since_epoch(event) for _, _, event, _ in data]
        created = [since_epoch(learnt or event) for _, _, event, learnt in data]
        self._upsert(config, table, zip(keys, events, created, rows, strict=True))
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKeyProto],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, ValueProto] | None]]:
        """Read rows as protobuf, for Feast's own get_online_features."""
        codec = RowCodec(table)
        names = requested_features or list(codec.types)
        found = self._find(config, table, codec, [_key(_ids(key)) for key in entity_keys])
        columns = codec.unpack([row for _, row in found], names)
        return [
            (None, None)
            if row is None
            else (
                EPOCH + timedelta(microseconds=event),
                {name: to_proto(columns[name][index], codec.types[name]) for name in names},
            )
            for index, (event, row) in enumerate(found)
        ]

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Drop the rows of deleted views and make room for the others'."""
        connection = self._connection(config)
        with connection:
            for view in tables_to_delete:
                connection.execute(f"DROP TABLE IF EXISTS {_table(config, view)}")
            for view in tables_to_keep:
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {_table(config, view)} (key BLOB PRIMARY KEY, "
                    "event INTEGER NOT NULL, created INTEGER NOT NULL, row BLOB NOT NULL) WITHOUT ROWID"
                )

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop all tables and the file."""
        self._connection(config).close()
        del self._local.connection
        Path(config.online_store.path).unlink(missing_ok=True)

    def _connection(self, config: RepoConfig) -> sqlite3.Connection:
        """This thread's connection; a reader is not held up by a writer."""
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is None:
            path = Path(config.repo_path or ".") / config.online_store.path
            path.parent.mkdir(parents=True, exist_ok=True)
            known = self._local.connection = sqlite3.connect(path, timeout=60.0)
            known.execute("PRAGMA journal_mode = WAL")
            known.execute("PRAGMA synchronous = NORMAL")
        return known

    def _upsert(
        self, config: RepoConfig, view: FeatureView, rows: Iterable[tuple[bytes, int, int, bytes]]
    ) -> None:
        connection = self._connection(config)
        with connection:
            connection.executemany(
                f"INSERT INTO {_table(config, view)} VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "event = excluded.event, created = excluded.created, row = excluded.row "
                "WHERE (excluded.event, excluded.created) >= (event, created)",
                rows,
            )

    def _find(
        self, config: RepoConfig, view: FeatureView, codec: RowCodec, keys: list[bytes]
    ) -> list[tuple[int, bytes | None]]:
        """(event, row) of each key; (MISSING, None) where there is none of the codec's schema."""
        connection = self._connection(config)
        found: dict[bytes, tuple[int, bytes]] = {}
        for start in range(0, len(keys), _KEYS_A_QUERY):
            asked = keys[start : start + _KEYS_A_QUERY]
            marks = listed("?" * len(asked))
            query = f"SELECT key, event, row FROM {_table(config, view)} WHERE key IN ({marks})"
            with closing(connection.execute(query, asked)) as cursor:
                found |= {key: (event, row) for key, event, row in cursor if codec.knows(row)}
        return [found.get(key, (MISSING, None)) for key in keys]


def _table(config: RepoConfig, view: FeatureView) -> str:
    return quoted(f"{config.project}_{view.name}")


def _ids(key: EntityKeyProto) -> tuple[str, ...]:
    """Ids of a Feast key in order of the names of its join keys."""
    named = sorted(zip(key.join_keys, key.entity_values, strict=True), key=lambda pair: pair[0])
    return tuple(value.string_val for _, value in named)


def _key(ids: tuple[str, ...]) -> bytes:
    """Each id after its length, so that ("1", "23") and ("12", "3") differ."""
    encoded = [id_.encode() for id_ in ids]
    return b"".join(struct.pack("<I", len(id_)) + id_ for id_ in encoded)


def _microseconds(times: pa.ChunkedArray) -> list[int]:
    return times.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
