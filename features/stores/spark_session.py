"""The Spark session the offline store works in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from pyspark.sql import SparkSession

# A session of its own listens on loopback and has no web page, unless `spark_conf` says otherwise.
_DEFAULTS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
}


def spark_session(conf: Mapping[str, str]) -> SparkSession:
    """The active session, or else one made with `conf`, in UTC."""
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # executors run what this process runs
    builder = SparkSession.builder.appName("gatehouse")
    for key, value in {**_DEFAULTS, **conf}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
