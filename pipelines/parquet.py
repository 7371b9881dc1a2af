"""Parquet files whose bytes follow from their rows alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

_JVM_WRITER = "parquet-mr"
_BATCH_ROWS = 131_072


def settle_encodings(path: Path) -> None:
    """Write a file of Spark's anew, in place, so that equal rows give equal bytes in every process.

    Spark's writer lists the encodings of a column in the order of a Java hash set of enums, which
    changes from one JVM to the next: the same rows, written by two runs, differ in the footer.
    Rows are copied a batch at a time. Files by other writers are left as they are.
    """
    with pq.ParquetFile(path) as source:
        if not source.metadata.created_by.startswith(_JVM_WRITER):
            return
        draft = path.with_suffix(".settled")
        with pq.ParquetWriter(draft, source.schema_arrow, compression="snappy") as writer:
            for batch in source.iter_batches(_BATCH_ROWS):
                writer.write_batch(batch)
    draft.replace(path)
    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)  # Hadoop's checksum of the bytes that were
