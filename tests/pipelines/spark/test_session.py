"""The Spark session: UTC, loopback, and a Java wherever one can be found."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as sf

from pipelines.settings import Settings
from pipelines.spark.session import spark_session

pytestmark = pytest.mark.spark

COUNT_TO_THREE = """
import os
from pipelines.settings import Settings
from pipelines.spark.session import spark_session
spark = spark_session(Settings(spark_master="local[1]", spark_driver_memory="512m"))
print(spark.range(3).count(), os.environ.get("JAVA_HOME"))
"""


def _run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COUNT_TO_THREE], env=environment, capture_output=True, text=True, check=False
    )


def _path_without_java(folder: Path) -> str:
    """A PATH with what Spark's launcher scripts call, and no java."""
    for tool in ("bash", "dirname", "ps", "env", "nice", "basename", "cat", "uname"):
        found = next((p for p in ("/usr/bin", "/bin") if Path(p, tool).exists()), None)
        if found:
            (folder / tool).symlink_to(Path(found, tool))
    return str(folder)


def test_session_is_the_same_when_asked_for_twice(spark: Any) -> None:
    assert spark_session(Settings()) is spark


def test_session_writes_utc_microseconds(spark: Any, tmp_path: Path) -> None:
    instant = 1_650_844_799_999_999
    spark.range(1).coalesce(1).select(sf.timestamp_micros(sf.lit(instant)).alias("at")).write.parquet(
        str(tmp_path / "t")
    )

    table = pq.read_table(next((tmp_path / "t").glob("*.parquet")))
    assert table.schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert table["at"][0].as_py() == datetime(2022, 4, 24, 23, 59, 59, 999999, tzinfo=UTC)


def test_session_listens_on_loopback_only(spark: Any) -> None:
    assert spark.conf.get("spark.driver.bindAddress") == "127.0.0.1"
    assert spark.sparkContext.uiWebUrl is None


def test_session_leaves_no_checksum_files(spark: Any, tmp_path: Path) -> None:
    spark.range(3).write.parquet(str(tmp_path / "t"))
    assert [path.name for path in (tmp_path / "t").iterdir() if path.suffix == ".crc"] == []


def test_session_starts_no_tasks_to_look_at_files(spark: Any, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.parquet") for number in range(40)]
    for path in paths:
        pq.write_table(pa.table({"id": [1]}), path)
    context = spark.sparkContext
    context.setJobGroup("looking", "reads the schema it is given")
    try:
        read = spark.read.schema("id long").parquet(*paths)
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
    assert list(context.statusTracker().getJobIdsForGroup("looking")) == []
    assert read.count() == 40


@pytest.mark.slow
def test_session_starts_on_the_packaged_java_when_none_is_installed(tmp_path: Path) -> None:
    environment = {"PATH": _path_without_java(tmp_path), "HOME": os.environ["HOME"]}

    done = _run(environment)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 ")
    assert "gatehouse-java-" in done.stdout


@pytest.mark.slow
def test_session_passes_over_a_java_home_that_is_too_old(tmp_path: Path) -> None:
    java = tmp_path / "old" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/bash\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)

    done = _run({**os.environ, "JAVA_HOME": str(tmp_path / "old")})

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 ")
