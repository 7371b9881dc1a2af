"""An archive of the classes that Spark loads, with which its Java starts some seconds sooner.

Java reads and verifies some 15,000 classes before Spark's first job. `python -m
pipelines.spark.class_archive` does so once and lets Java keep what it made of them, beside the interpreter's
packages; from then on every session maps that file. Java itself checks that the archive fits it and Spark's
files, and does without one that does not.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pyspark
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.window import Window

from pipelines.spark.java import major, provide_java

_AOT_SINCE = 25
"""The Java from which on the archive is an "AOT cache", which needs no archive of Java's own below it."""
_SECONDS_TO_WRITE = 300


def archive_of(java: str) -> Path:
    """Where the archive for the Java of that version is, or would be."""
    return Path(sys.prefix) / "share" / "gatehouse" / f"spark-{pyspark.__version__}-java-{java}.classes"


def archive_options(java: str) -> str:
    """What makes Java of that version use its archive; nothing where there is none."""
    archive = archive_of(java)
    if not archive.exists():
        return ""
    return _options(java, archive, "AOTCache" if major(java) >= _AOT_SINCE else "SharedArchiveFile")


def make_archive() -> Path:
    """Start a session, load what the stages load, and keep its classes.

    Java cannot archive a folder of settings, so SPARK_CONF_DIR is passed over, and a session that is told of
    one does without the archive.

    Returns:
        The archive, some 200 MB; one that was there is replaced when the new one is whole.

    Raises:
        SettingsError: no Java 17 or newer can be found.
        RuntimeError: Java could not write it.
        subprocess.TimeoutExpired: Java did not end.
    """
    java = provide_java()
    archive = archive_of(java)
    archive.parent.mkdir(parents=True, exist_ok=True)
    os.environ.pop("SPARK_CONF_DIR", None)
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        fresh = Path(scratch) / archive.name
        recording = "AOTCacheOutput" if major(java) >= _AOT_SINCE else "ArchiveClassesAtExit"
        session = (
            SparkSession.builder.master("local[1]")
            .config("spark.driver.extraJavaOptions", _options(java, fresh, recording))
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", scratch)
            .config("spark.sql.warehouse.dir", scratch)
            .config("spark.ui.enabled", "false")
            .getOrCreate()
        )
        _load_classes(session, Path(scratch) / "rows")
        session.stop()
        process = SparkContext._gateway.proc
        process.stdin.close()  # which ends it, and at its end it writes
        if process.wait(timeout=_SECONDS_TO_WRITE) != 0:
            raise RuntimeError(f"Java ended with {process.returncode} before it had written {archive}")
        with fresh.open("rb") as written:  # a Java that maps an archive with its end missing dies
            os.fsync(written.fileno())
        fresh.rename(archive)
    for other in set(archive.parent.glob("spark-*.classes")) - {archive}:  # of a Java or Spark before
        other.unlink(missing_ok=True)
    return archive


def _load_classes(spark: SparkSession, folder: Path) -> None:
    """A little of everything that the stages do: text and Parquet, shuffles, windows, joins, Arrow."""
    key = sf.col("id") % 7
    rows = spark.range(1000).select("id", key.alias("key"), sf.timestamp_seconds("id").alias("at"))
    rows.write.csv(f"{folder}/csv", header=True)
    read = spark.read.csv(f"{folder}/csv", header=True, schema=rows.schema)
    read.write.partitionBy("key").parquet(f"{folder}/parquet")
    stored = spark.read.parquet(f"{folder}/parquet")
    newest = Window.partitionBy("key").orderBy(sf.col("at").desc())
    sums = stored.groupBy("key").agg(sf.sum("id").alias("sum"), sf.collect_list("id").alias("ids"))
    joined = stored.withColumn("place", sf.row_number().over(newest)).join(sums, "key", "left")
    joined.sort("place", "key").toArrow()


def _options(java: str, archive: Path, use: str) -> str:
    """The option, and silence about classes that cannot be kept and an archive that does not fit."""
    return f'-XX:{use}="{archive}" -Xlog:{"aot" if major(java) >= _AOT_SINCE else "cds"}*=off'


if __name__ == "__main__":
    sys.stderr.write(f"{make_archive()}\n")
