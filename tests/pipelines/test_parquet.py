"""Equal rows give equal bytes, whatever order a writer happened to list its encodings in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.parquet import settle_encodings


@pytest.mark.spark
def test_settled_file_holds_sparks_rows_and_types(spark: Any, tmp_path: Path) -> None:
    spark.sql(
        "SELECT id, cast(id % 2 AS tinyint) AS label, timestamp_micros(id) AS at, "
        "array(struct(id AS n)) AS events FROM range(1000)"
    ).coalesce(1).write.parquet(str(tmp_path / "out"))
    [path] = (tmp_path / "out").glob("*.parquet")
    before = pq.read_table(path)
    settle_encodings(path)
    after = pq.read_table(path)
    assert after.equals(before)
    assert after.schema.equals(before.schema)
    assert not pq.read_metadata(path).created_by.startswith("parquet-mr")
    assert spark.read.parquet(str(path)).count() == 1000


def test_file_of_another_writer_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "0.parquet"
    pq.write_table(pa.table({"value": [1, 2]}), path, compression="zstd")
    before = path.read_bytes()
    settle_encodings(path)
    assert path.read_bytes() == before
