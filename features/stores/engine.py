"""Feast's compute engine for materialization: Arrow from the offline store straight to the online store."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

from feast import RepoConfig
from feast.infra.common.materialization_job import (
    MaterializationJob,
    MaterializationJobStatus,
    MaterializationTask,
)
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel

from features.stores.online import PackedOnlineStore
from features.stores.packed.writer import TableWriter
from features.stores.retrieval import LakeRetrievalJob

_WRITERS = 2
"""Threads: while the store takes one table in, the next is packed."""


@runtime_checkable
class SparkJob(Protocol):
    """A retrieval job whose result is a Spark frame; told without importing Spark."""

    def to_spark_df(self) -> Any: ...


class ArrowComputeEngineConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Names the engine in feature_store.yaml; there is nothing to set."""

    type: Literal["features.stores.engine.ArrowComputeEngine"] = "features.stores.engine.ArrowComputeEngine"


class ArrowComputeEngine(LocalComputeEngine):  # type: ignore[misc]
    """Feast's local engine, without pandas and protobuf where the online store is the packed one.

    With the Spark engine of the offline store, executors write.
    """

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> MaterializationJob:
        if not isinstance(self.online_store, PackedOnlineStore):
            return super()._materialize_one(registry, task, **kwargs)
        view = task.feature_view
        latest = self.offline_store.pull_latest_from_table_or_query(
            config=self.repo_config,
            data_source=view.batch_source,
            join_key_columns=[field.name for field in view.entity_columns],
            feature_name_columns=[field.name for field in view.features],
            timestamp_field=view.batch_source.timestamp_field,
            created_timestamp_column=view.batch_source.created_timestamp_column,
            start_date=task.start_time,
            end_date=task.end_time,
        )
        self.online_store.write_with(
            self.repo_config, view, partial(_write, self.repo_config, self.online_store, latest)
        )
        return LocalMaterializationJob(
            job_id=f"{view.name}-{task.end_time.isoformat()}", status=MaterializationJobStatus.SUCCEEDED
        )


def _write(
    config: RepoConfig, online: PackedOnlineStore, latest: LakeRetrievalJob, writer: TableWriter
) -> None:
    """Write what `latest` gives: each executor its partitions, or here one table while the next is read."""
    if isinstance(latest, SparkJob):
        from features.stores.spark_write import write_partitions

        write_partitions(latest.to_spark_df(), writer, online.place(config))
        return
    backend = online.backend(config)
    with ThreadPoolExecutor(_WRITERS) as pool:
        waiting: deque[Future[int]] = deque()
        for table in latest.tables():
            waiting.append(pool.submit(writer.write, backend, table))
            if len(waiting) > _WRITERS:
                waiting.popleft().result()
        for left in waiting:
            left.result()
