"""The archive of Spark's classes: mapped by a session's Java, and done without where it does not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.spark.java import major, provide_java

pytestmark = [pytest.mark.spark, pytest.mark.slow]

# The archive is kept in a prefix of the test's own, so that the real one stays as it is.
KEPT_IN = "import sys; sys.prefix = {prefix!r}\n"
MAKE = "from pipelines.spark.class_archive import make_archive; print(make_archive())"
COUNT_TO_THREE = """
from pathlib import Path
from pipelines.settings import Settings
from pipelines.spark.session import spark_session
spark = spark_session(Settings(spark_master="local[1]", spark_driver_memory="512m"))
java = spark._jvm.java.lang.ProcessHandle.current().pid()
print(spark.range(3).count(), ".classes" in Path(f"/proc/{java}/maps").read_text())
"""


def _run(code: str, prefix: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", KEPT_IN.format(prefix=str(prefix)) + code],
        env={**os.environ, "PYSPARK_SUBMIT_ARGS": "pyspark-shell"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(_run(MAKE, tmp_path_factory.mktemp("a prefix")).stdout.strip())


def _prefix(archive: Path) -> Path:
    return archive.parents[2]


def test_archive_is_named_after_what_it_is_of_and_nothing_else_is_left(archive: Path) -> None:
    assert f"java-{major(provide_java())}" in archive.name
    assert list(archive.parent.iterdir()) == [archive]


def test_session_maps_the_archive(archive: Path) -> None:
    assert _run(COUNT_TO_THREE, _prefix(archive)).stdout.split() == ["3", "True"]


def test_session_works_without_a_word_when_there_is_no_archive(tmp_path: Path) -> None:
    assert _run(COUNT_TO_THREE, tmp_path).stdout.split() == ["3", "False"]


def test_session_works_without_a_word_when_the_archive_is_none(archive: Path, tmp_path: Path) -> None:
    broken = tmp_path / archive.relative_to(_prefix(archive))
    broken.parent.mkdir(parents=True)
    broken.write_text("no archive")

    done = _run(COUNT_TO_THREE, tmp_path)

    assert done.stdout.split() == ["3", "False"]
    assert "archive" not in done.stderr
