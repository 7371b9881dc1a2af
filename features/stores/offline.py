"""Feast's offline store over the lake: an exact point-in-time join on DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn

import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel
from feast.types import Array, FeastType, Float32, Int64, String

from features.stores.errors import StoreError
from features.stores.point_in_time import join
from features.stores.retrieval import DuckRetrievalJob
from features.stores.rows import rows_of
from features.stores.source import LakeSource
from features.stores.spine import SpineLike
from features.stores.sql import connect, listed, quoted
from features.stores.values import since_epoch
from features.stores.views import Column, ViewColumns

_SQL_TYPES = (
    (Float32, "FLOAT"),
    (Int64, "BIGINT"),
    (String, "VARCHAR"),
    (Array(String), "VARCHAR[]"),
    (Array(Int64), "BIGINT[]"),
)


class GatehouseOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Names the store in feature_store.yaml; there is nothing to set."""

    type: Literal["features.stores.offline.GatehouseOfflineStore"] = (
        "features.stores.offline.GatehouseOfflineStore"
    )


class GatehouseOfflineStore(OfflineStore):  # type: ignore[misc]
    """Reads lake tables through their manifests; see features.stores.point_in_time for what is joined."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: SpineLike | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        """Join features to a spine: a pandas frame, an Arrow table, a Parquet path or a DuckDB query.

        Rows created after the spine row's instant are never used, so Feast's
        filter_by_created_timestamp changes nothing here.

        Raises:
            NotImplementedError: no spine was given; a range of time alone is not supported.
        """
        if entity_df is None:
            raise NotImplementedError(
                "features of a time range without a spine are not supported; pass an entity_df"
            )
        spine = entity_df
        views = tuple(_view_columns(view, feature_refs, full_feature_names) for view in feature_views)
        return DuckRetrievalJob(
            lambda: join(spine, views),
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs, keys=sorted({key for view in views for key in view.keys.values()})
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The newest row, by (event, created), of each key within start_date..end_date, both included."""
        newest = (
            f"QUALIFY row_number() OVER (PARTITION BY {_key_aliases(join_key_columns)} "
            "ORDER BY event DESC, created DESC, place DESC) = 1"
        )
        view = _table(data_source, join_key_columns, feature_name_columns)
        return DuckRetrievalJob(lambda: _pull(view, start_date, end_date, newest))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows within start_date..end_date, both included; None leaves that side open."""
        view = _table(data_source, join_key_columns, feature_name_columns)
        return DuckRetrievalJob(lambda: _pull(view, start_date, end_date))

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> NoReturn:
        """Refuse: only the aggregate stage writes the lake."""
        raise NotImplementedError(
            f"the lake is written by `gatehouse aggregate` only; {feature_view.name} cannot be pushed to it"
        )

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> NoReturn:
        """Refuse: only the stages write the lake."""
        raise NotImplementedError(
            "the lake is written by the stages only; logged features cannot be added to it"
        )


def _view_columns(view: FeatureView, feature_refs: list[str], full_feature_names: bool) -> ViewColumns:
    """What `feature_refs` ask of `view`, under the names the result shall have."""
    name = view.projection.name_to_use()
    wanted = [ref.partition(":")[2] for ref in feature_refs if ref.partition(":")[0] == name]
    types = {field.name: field.dtype for field in view.features}
    prefix = f"{name}__" if full_feature_names else ""
    source = _lake_source(view.batch_source)
    renamed = view.projection.join_key_map
    return ViewColumns(
        name=name,
        folder=source.folder,
        keys={key.name: renamed.get(key.name, key.name) for key in view.entity_columns},
        columns=tuple(Column(feature, prefix + feature, _sql_type(types[feature])) for feature in wanted),
        ttl=view.ttl or timedelta(0),
        event_timestamp=source.timestamp_field,
        created_timestamp=source.created_timestamp_column,
    )


def _table(data_source: DataSource, keys: list[str], features: list[str]) -> ViewColumns:
    """A whole table, its columns under their own names."""
    source = _lake_source(data_source)
    return ViewColumns(
        name=source.name,
        folder=source.folder,
        keys={key: key for key in keys},
        columns=tuple(Column(feature, feature, "VARCHAR") for feature in features),
        ttl=timedelta(0),
        event_timestamp=source.timestamp_field,
        created_timestamp=source.created_timestamp_column,
    )


def _pull(
    view: ViewColumns, start: datetime | None, end: datetime | None, qualify: str = ""
) -> Iterator[pa.Table]:
    """The table's rows within start..end, ordered by key and time."""
    keys = (f"k{index} AS {quoted(key)}" for index, key in enumerate(view.keys))
    features = (f"f{index} AS {quoted(column.output)}" for index, column in enumerate(view.columns))
    times = (
        f"make_timestamptz(event) AS {quoted(view.event_timestamp)}",
        f"make_timestamptz(created) AS {quoted(view.created_timestamp)}",
    )
    earliest = None if start is None else since_epoch(start)
    latest = None if end is None else since_epoch(end)
    with connect() as connection:
        relation = rows_of(connection, view, earliest, latest).whole
        yield connection.sql(
            f"SELECT {listed((*keys, *features, *times))} FROM ({relation}) {qualify} "
            f"ORDER BY {_key_aliases(view.keys)}, event, created, place"
        ).to_arrow_table()


def _key_aliases(keys: list[str] | dict[str, str]) -> str:
    return listed(f"k{index}" for index in range(len(keys)))


def _lake_source(source: DataSource) -> LakeSource:
    if not isinstance(source, LakeSource):
        raise StoreError(
            f"the offline store reads lake tables; source {source.name!r} is a {type(source).__name__}"
        )
    return source


def _sql_type(dtype: FeastType) -> str:
    for known, sql in _SQL_TYPES:
        if dtype == known:
            return sql
    raise StoreError(f"the lake has no column type for Feast's {dtype}")
