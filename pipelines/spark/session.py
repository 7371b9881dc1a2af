"""The Spark session of the batch stages."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from features.compile.spark.sketches import SKETCH_SIZE
from pipelines.observing.logs import current_fields
from pipelines.settings import Settings
from pipelines.spark.class_archive import archive_options
from pipelines.spark.java import provide_java

_LOGGING = {
    "text": Path(__file__).with_name("log4j2.properties"),
    "json": Path(__file__).with_name("log4j2-json.properties"),
}


def spark_session(settings: Settings) -> SparkSession:
    """The process's Spark session, started on the first call.

    It works in UTC, writes timestamps as microseconds, listens on `settings.spark_driver_host` only
    and has no web page. On a local master a shuffle has as many partitions as the machine has
    cores; elsewhere adaptive execution merges Spark's default of 200. What is not set here can be:
    Spark reads SPARK_CONF_DIR/spark-defaults.conf.

    Raises:
        SettingsError: no Java 17 or newer can be found.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    java = provide_java()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = settings.spark_driver_host
    for name, value in current_fields().items():  # its log lines carry them, too
        os.environ[f"GATEHOUSE_LOG_{name.upper()}"] = value
    builder = SparkSession.builder.appName("gatehouse").master(settings.spark_master)
    for key, value in _configuration(settings, java).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    _write_no_checksum_files(session)
    return session


def _configuration(settings: Settings, java: str) -> dict[str, str]:
    scratch, logging = tempfile.gettempdir(), _LOGGING[settings.log_format].as_uri()
    configuration = {
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={logging} {archive_options(java)}",
        "spark.driver.bindAddress": settings.spark_driver_host,
        "spark.driver.host": settings.spark_driver_host,
        # A task's files count once it has committed, and one attempt of each may: see docs/spark.md
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "1",
        "spark.local.dir": scratch,
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # A task holds a bounded heap per key; sorting all of its rows after 128 keys would cost far more.
        "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "65536",
        # Rows of a key that are chosen by rank are so where they lie, up to this many; a sketch has so many.
        "spark.sql.optimizer.windowGroupLimitThreshold": str(SKETCH_SIZE),
        # pandas writes nanoseconds, which Spark reads as plain integers or not at all
        "spark.sql.legacy.parquet.nanosAsLong": "true",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(Path(scratch) / "spark-warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if settings.spark_master.startswith("local"):
        configuration["spark.sql.shuffle.partitions"] = str(os.cpu_count() or 1)
        # Looking at a file on this machine costs far less than a task, which Spark would start for each
        configuration["spark.sql.sources.parallelPartitionDiscovery.threshold"] = str(2**31 - 1)
    return configuration


def _write_no_checksum_files(session: SparkSession) -> None:
    """Leave out Hadoop's `.crc` beside each local file: the lake's manifests have a hash of every file.

    For every file and folder that it makes, Hadoop starts a process of `chmod`.
    """
    context: Any = session.sparkContext
    files = context._jvm.org.apache.hadoop.fs.FileSystem.getLocal(context._jsc.hadoopConfiguration())
    files.setWriteChecksum(False)
