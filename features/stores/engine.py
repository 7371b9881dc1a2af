"""Feast's compute engine for materialization: Arrow from the offline store straight to the online store."""

from __future__ import annotations

from typing import Any, Literal

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


class ArrowComputeEngineConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Names the engine in feature_store.yaml; there is nothing to set."""

    type: Literal["features.stores.engine.ArrowComputeEngine"] = "features.stores.engine.ArrowComputeEngine"


class ArrowComputeEngine(LocalComputeEngine):  # type: ignore[misc]
    """Feast's local engine, without pandas and protobuf where the online store is the packed one."""

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
        ).to_arrow()
        if latest.num_rows:
            self.online_store.write_table(self.repo_config, view, latest)
        return LocalMaterializationJob(
            job_id=f"{view.name}-{task.end_time.isoformat()}", status=MaterializationJobStatus.SUCCEEDED
        )
