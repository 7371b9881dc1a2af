"""The Feast store as the stages open it."""

from __future__ import annotations

from feast import FeatureStore

from features.store import open_store
from pipelines.settings import Settings


def open_stage_store(settings: Settings) -> FeatureStore:
    """The store of the home; where its engine is Spark, it finds the stages' own session active."""
    store = open_store(settings.home)
    if getattr(store.config.offline_store, "engine", None) == "spark":
        from pipelines.spark.session import spark_session

        spark_session(settings)
    return store
