"""The retrieval job of the Spark engine."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast.dataframe import DataFrameEngine, FeastDataFrame
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SavedDatasetSparkStorage
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage
from pyspark.sql import DataFrame

from features.stores.retrieval import LakeRetrievalJob, write_whole
from features.stores.spark_spine import ROW
from features.stores.spine import Batches

BATCH = 250_000  # rows that pass through the driver at a time


class SparkRetrievalJob(LakeRetrievalJob):
    """A Spark frame; nothing runs before it is asked for.

    Where the spine has an order, the frame has ROW and `batches` yields the spine itself: the result
    then holds the spine's columns as they were given, in their order, and Spark's features beside them.
    """

    def __init__(
        self,
        frame: Callable[[], tuple[DataFrame, Batches | None]],
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        super().__init__(
            lambda: iter([self._to_arrow_internal()]), full_feature_names, on_demand_feature_views, metadata
        )
        self._frame = frame

    def to_spark_df(self) -> DataFrame:
        """The result in Spark, in the spine's order where it has one."""
        frame, batches = self._frame()
        return frame if batches is None else frame.orderBy(ROW).drop(ROW)

    def to_feast_df(self, validation_reference: object = None, timeout: int | None = None) -> FeastDataFrame:
        """The result in Spark, as Feast wraps it."""
        return FeastDataFrame(data=self.to_spark_df(), engine=DataFrameEngine.SPARK)

    def to_parquet(self, path: Path) -> int:
        """Write the result to one Parquet file, and return its row count.

        Spark writes its parts aside; they pass through the driver a batch at a time. The folder must
        be one that driver and executors share. On-demand views are not computed.
        """
        parts = path.parent / f".{path.name}.{uuid.uuid4().hex}"
        try:
            frame, batches = self._frame()
            ordered = frame if batches is None else _features(frame, batches).orderBy(ROW)
            ordered.write.parquet(str(parts))
            written = _parts(sorted(parts.glob("*.parquet")))
            return write_whole(path, written if batches is None else _beside(batches(BATCH), written))
        finally:
            shutil.rmtree(parts, ignore_errors=True)

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Write the result to a SavedDatasetFileStorage's file or to a SavedDatasetSparkStorage.

        For the latter Spark writes; nothing passes through the driver.

        Raises:
            SavedDatasetLocationAlreadyExists: the file exists and may not be overwritten.
            NotImplementedError: the storage is of another kind.
        """
        if not isinstance(storage, SavedDatasetSparkStorage):
            super().persist(storage, allow_overwrite, timeout)
            return
        options = storage.spark_options
        mode = "overwrite" if allow_overwrite else "errorifexists"
        writer = self.to_spark_df().write.format(options.file_format or "parquet").mode(mode)
        if options.path:
            writer.save(options.path)
        else:
            writer.saveAsTable(options.table)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        frame, batches = self._frame()
        if batches is None:
            return frame.toArrow()
        features = _features(frame, batches).toArrow().sort_by(ROW)
        return pa.concat_tables(_beside(batches(BATCH), iter([features])))


def _features(frame: DataFrame, batches: Batches) -> DataFrame:
    """ROW and what the spine does not have itself."""
    own = set(next(batches(1)).column_names)
    return frame.select(*(f"`{name}`" for name in frame.columns if name not in own))


def _parts(files: Iterable[Path]) -> Iterator[pa.Table]:
    for path in files:
        with pq.ParquetFile(path) as part:
            for batch in part.iter_batches(batch_size=BATCH):
                yield pa.Table.from_batches([batch])
            if part.metadata.num_rows == 0:
                yield part.schema_arrow.empty_table()


def _beside(spine: Iterator[pa.Table], features: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The spine's tables, each with as many rows of `features` beside it."""
    waiting = next(features)
    for table in spine:
        while waiting.num_rows < table.num_rows:
            waiting = pa.concat_tables([waiting, next(features)])
        these, waiting = waiting.slice(0, table.num_rows), waiting.slice(table.num_rows)
        for name in these.column_names:
            if name != ROW:
                table = table.append_column(name, these[name])
        yield table
