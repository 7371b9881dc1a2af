"""The Spark session the offline store works in."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import SparkSession


def spark_session(conf: Mapping[str, str]) -> SparkSession:
    """The active session, or else one made with `conf`, in UTC."""
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    builder = SparkSession.builder.appName("gatehouse").config("spark.sql.session.timeZone", "UTC")
    for key, value in conf.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
