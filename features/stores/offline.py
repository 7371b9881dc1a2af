"""Feast's offline store over the lake: an exact point-in-time join, on DuckDB or on Spark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel
from feast.types import Array, FeastType, Float32, Int64, String
from pydantic import Field

from features.stores.errors import StoreError
from features.stores.point_in_time import join
from features.stores.pull import pull
from features.stores.retrieval import LakeRetrievalJob
from features.stores.source import LakeSource
from features.stores.sql import MEMORY_LIMIT
from features.stores.views import Column, ViewColumns

if TYPE_CHECKING:
    from features.stores.spark_spine import SparkSpineLike

_SQL_TYPES = (
    (Float32, "FLOAT"),
    (Int64, "BIGINT"),
    (String, "VARCHAR"),
    (Array(String), "VARCHAR[]"),
    (Array(Int64), "BIGINT[]"),
)


class GatehouseOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """The store in feature_store.yaml.

    Attributes:
        engine: what joins. A spine that is a Spark frame is joined on Spark whatever stands here.
        memory_limit: what DuckDB holds in memory; the rest goes to a temporary folder.
        spark_conf: settings of the Spark session, where none is active.
    """

    type: Literal["features.stores.offline.GatehouseOfflineStore"] = (
        "features.stores.offline.GatehouseOfflineStore"
    )
    engine: Literal["duckdb", "spark"] = "duckdb"
    memory_limit: str = MEMORY_LIMIT
    spark_conf: dict[str, str] = Field(default_factory=dict)


class GatehouseOfflineStore(OfflineStore):  # type: ignore[misc]
    """Reads lake tables through their manifests; see features.stores.point_in_time for what is joined.

    Spark is imported where it is used, as most processes never do.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: SparkSpineLike | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **kwargs: Any,
    ) -> LakeRetrievalJob:
        """Join features to a spine.

        A spine is a pandas frame, an Arrow table, a Parquet path, a query in the engine's SQL or a Spark
        frame; the Spark engine's job has `to_spark_df`. Rows created after the spine row's instant are
        never used, so Feast's filter_by_created_timestamp changes nothing here.

        Raises:
            NotImplementedError: no spine was given; a range of time alone is not supported.
        """
        if entity_df is None:
            raise NotImplementedError(
                "features of a time range without a spine are not supported; pass an entity_df"
            )
        settings, spine = config.offline_store, entity_df
        views = tuple(_view_columns(view, feature_refs, full_feature_names) for view in feature_views)
        shared: dict[str, Any] = {
            "full_feature_names": full_feature_names,
            "on_demand_feature_views": OnDemandFeatureView.get_requested_odfvs(
                feature_refs, project, registry
            ),
            "metadata": RetrievalMetadata(
                features=feature_refs, keys=sorted({key for view in views for key in view.keys.values()})
            ),
        }
        if settings.engine == "spark" or _is_spark_frame(spine):
            return _spark_job(settings, spine, views, shared)
        return LakeRetrievalJob(lambda: join(spine, views, memory_limit=settings.memory_limit), **shared)

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
    ) -> LakeRetrievalJob:
        """The newest row, by (event, created), of each key within start_date..end_date, both included."""
        view = _table(data_source, join_key_columns, feature_name_columns)
        return _pull_job(config, view, start_date, end_date, newest=True)

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
    ) -> LakeRetrievalJob:
        """All rows within start_date..end_date, both included; None leaves that side open."""
        view = _table(data_source, join_key_columns, feature_name_columns)
        return _pull_job(config, view, start_date, end_date, newest=False)

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


def _spark_job(
    settings: GatehouseOfflineStoreConfig, spine: Any, views: tuple[ViewColumns, ...], shared: dict[str, Any]
) -> LakeRetrievalJob:
    from features.stores.spark_point_in_time import join_views
    from features.stores.spark_retrieval import SparkRetrievalJob
    from features.stores.spark_session import spark_session
    from features.stores.spark_spine import load_spark_spine

    def frame() -> Any:
        spark = spark_session(settings.spark_conf)
        loaded = load_spark_spine(spark, spine)
        return join_views(spark, loaded, views), loaded.batches

    return SparkRetrievalJob(frame, **shared)


def _pull_job(
    config: RepoConfig, view: ViewColumns, start: datetime | None, end: datetime | None, *, newest: bool
) -> LakeRetrievalJob:
    settings = config.offline_store
    if settings.engine == "duckdb":
        return LakeRetrievalJob(
            lambda: pull(view, start, end, newest=newest, memory_limit=settings.memory_limit)
        )
    from features.stores.spark_pull import spark_pull
    from features.stores.spark_retrieval import SparkRetrievalJob
    from features.stores.spark_session import spark_session

    return SparkRetrievalJob(
        lambda: (spark_pull(spark_session(settings.spark_conf), view, start, end, newest=newest), None)
    )


def _is_spark_frame(spine: object) -> bool:
    """Told without importing Spark, which takes its time."""
    return any(kind.__module__.startswith("pyspark.sql") for kind in type(spine).__mro__)


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
