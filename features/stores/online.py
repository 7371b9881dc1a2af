"""Feast's online store with one packed row per view and key, in SQLite, Redis or Valkey.

Feast's own stores keep a protobuf for each *feature* of a key; see docs/decisions/0005-online-store.md for
what that costs. Which rows are read is told in features.stores.packed.pointer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import pyarrow as pa
from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import FeastConfigBaseModel
from feast.types import from_feast_to_pyarrow_type
from pydantic import SecretStr, model_validator

from features.stores.packed.backend import Backend, Read
from features.stores.packed.generations import begin, drop_view, finish
from features.stores.packed.keys import encode_key
from features.stores.packed.place import Place
from features.stores.packed.pointer import Pointer
from features.stores.packed.unpack import MISSING, ViewRows
from features.stores.packed.writer import TableWriter
from features.stores.values import EPOCH, join_keys, since_epoch, to_proto, to_python
from features.stores.view_schema import schema_of

_INSTANT = pa.timestamp("us", "UTC")


class PackedOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings in feature_store.yaml; either `path` or `url` is given.

    Attributes:
        path: the SQLite file.
        url: of a Redis or Valkey server, for example redis://localhost:6379/0; give one with a password
            as an environment variable, url: ${GATEHOUSE_REDIS_URL}.
        cluster: whether the server is a node of a cluster.
        timeout: seconds to wait for a server's answer to a read.
    """

    type: Literal["features.stores.online.PackedOnlineStore"] = "features.stores.online.PackedOnlineStore"
    path: str | None = None
    url: SecretStr | None = None
    cluster: bool = False
    timeout: float = 1.0

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give `path` for SQLite or `url` for Redis or Valkey, and not both")
        return self


class PackedOnlineStore(OnlineStore):  # type: ignore[misc]
    """Of the rows written for a key, the one with the newest (event, created) is kept, of equals the last."""

    _versioned_read_supported = False  # spares Feast importing every other store to find out

    def __init__(self) -> None:
        self._building: int | None = None

    def backend(self, config: RepoConfig) -> Backend:
        """Where the rows of `config` are kept."""
        return self.place(config).open()

    def place(self, config: RepoConfig) -> Place:
        """Where that is; an executor can open it too."""
        settings = config.online_store
        return Place(
            config.project,
            None if settings.path is None else Path(config.repo_path or ".") / settings.path,
            None if settings.url is None else settings.url.get_secret_value(),
            settings.cluster,
            settings.timeout,
        )

    @contextmanager
    def building(
        self, config: RepoConfig, views: Sequence[FeatureView], about: dict[str, Any]
    ) -> Iterator[Any]:
        """What `write_table` is given meanwhile goes to a new generation, for nobody to read yet.

        Yields a function that lets everybody read it, given what is served then; without its call nothing
        that was written is ever read.
        """
        backend = self.backend(config)
        schemas = [schema_of(view) for view in views]
        build = begin(backend, schemas, about)
        self._building = build.generation
        try:
            yield lambda served: finish(backend, build, {schema.entity for schema in schemas}, served)
        finally:
            self._building = None

    def write_table(self, config: RepoConfig, view: FeatureView, table: pa.Table) -> None:
        """Write `table`, which has the view's keys, features and time columns.

        Raises:
            StoreError: a row has no key or no time.
        """
        self.write_with(config, view, lambda writer: writer.write(self.backend(config), table))

    def write_with(
        self, config: RepoConfig, view: FeatureView, write: Callable[[TableWriter], object]
    ) -> None:
        """Let `write` put rows of `view` where they belong; called again when that has changed meanwhile."""
        backend, schema, source = self.backend(config), schema_of(view), view.batch_source
        times = source.timestamp_field, source.created_timestamp_column
        if self._building is not None:
            write(TableWriter(schema, *times, (self._building,)))
            return
        written: set[int] = set()
        while wanted := Pointer.parse(backend.pointer()).written(schema.entity) - written:
            # A generation that was begun meanwhile needs the rows too.
            for generation in wanted:
                backend.make_room([schema], generation)
            write(TableWriter(schema, *times, tuple(wanted)))
            written |= wanted

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKeyProto, dict[str, ValueProto], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows that come as protobuf, as pushes do."""
        source = table.batch_source
        columns: dict[str, Any] = {
            field.name: pa.array(
                [to_python(values.get(field.name, ValueProto())) for _, values, _, _ in data],
                from_feast_to_pyarrow_type(field.dtype),
            )
            for field in table.features
        }
        ids = [dict(zip(key.join_keys, map(_id, key.entity_values), strict=True)) for key, _, _, _ in data]
        columns |= {name: pa.array([of_key[name] for of_key in ids]) for name in join_keys(table)}
        events = [since_epoch(event) for _, _, event, _ in data]
        created = [since_epoch(learnt or event) for _, _, event, learnt in data]
        columns[source.timestamp_field] = pa.array(events, _INSTANT)
        columns[source.created_timestamp_column] = pa.array(created, _INSTANT)
        self.write_table(config, table, pa.table(columns))
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKeyProto, dict[str, ValueProto], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """`online_write_batch` in a thread of its own."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKeyProto],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, ValueProto] | None]]:
        """Read rows as protobuf, for Feast's own get_online_features.

        A row that is older than the view's TTL at the served instant is not found; Feast has no word for
        stale here. While nothing is served through a pointer, no age is judged.
        """
        schema = schema_of(table)
        names = requested_features or list(schema.names)
        pointer, [[rows]] = self.backend(config).read([Read((schema,), [_key(key) for key in entity_keys])])
        instant = Pointer.parse(pointer).instant
        if table.ttl and instant is not None:
            rows.events[rows.events < instant - table.ttl // timedelta(microseconds=1)] = MISSING
        columns = [_protos(rows, name) for name in names]
        values = zip(*columns, strict=True) if columns else ((),) * len(entity_keys)
        return [
            (None, None)
            if event == MISSING
            else (EPOCH + timedelta(microseconds=event), dict(zip(names, row, strict=True)))
            for event, row in zip(rows.events.tolist(), values, strict=True)
        ]

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKeyProto],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, ValueProto] | None]]:
        """`online_read` in a thread of its own."""
        return await asyncio.to_thread(self.online_read, config, table, entity_keys, requested_features)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Drop the rows of deleted views and make room for the others'.

        Raises:
            StoreError: a view has a feature of a type that rows cannot hold.
        """
        backend = self.backend(config)
        kept = [schema_of(view) for view in tables_to_keep]
        for view in tables_to_delete:
            drop_view(backend, "+".join(join_keys(view)), view.name)
        pointer = Pointer.parse(backend.pointer())
        for schema in kept:
            backend.make_room([schema], pointer.read(schema.entity))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Forget all rows of the project."""
        self.backend(config).clear()


def _key(key: EntityKeyProto) -> bytes:
    """A Feast key, its ids in order of the names of its join keys."""
    named = sorted(zip(key.join_keys, key.entity_values, strict=True), key=lambda pair: pair[0])
    return encode_key([_id(value) for _, value in named])


def _id(value: ValueProto) -> str:
    return str(to_python(value))


def _protos(rows: ViewRows, name: str) -> list[ValueProto]:
    """The values of one feature, as protobuf."""
    column = rows.column(name)
    values = column.to_pylist() if isinstance(column, pa.Array) else column.tolist()
    kind = rows.schema.kinds[name]
    return [to_proto(value, kind) for value in values]
