"""Write a Spark frame into the packed online store, each executor its own partitions."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.stores.packed.place import Place
from features.stores.packed.writer import TableWriter


def write_partitions(frame: DataFrame, writer: TableWriter, place: Place) -> int:
    """Write all rows of `frame`; how many they are. A partition that is tried again changes nothing.

    An executor holds one Arrow batch at a time (spark.sql.execution.arrow.maxRecordsPerBatch rows).
    """

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        backend = place.open()
        rows = sum(writer.write(backend, pa.Table.from_batches([batch])) for batch in batches)
        yield pa.RecordBatch.from_pydict({"rows": [rows]})

    written = frame.mapInArrow(write, "rows long").agg(F.sum("rows")).collect()[0][0]
    return int(written or 0)
