"""Retrieval jobs: what a query to the offline store returns, run when its result is asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage


class LakeRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """Tables that are made one after the other; nothing runs before they are asked for."""

    def __init__(
        self,
        tables: Callable[[], Iterator[pa.Table]],
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._tables = tables
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views or []
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def tables(self) -> Iterator[pa.Table]:
        """The result a table at a time; on-demand views are not computed."""
        return self._tables()

    def to_parquet(self, path: Path) -> int:
        """Write the result to one Parquet file, a table at a time, and return its row count.

        The file appears whole or not at all. On-demand views are not computed.
        """
        return write_whole(path, self._tables())

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Write the result to the Parquet file a SavedDatasetFileStorage names.

        Raises:
            SavedDatasetLocationAlreadyExists: the file exists and may not be overwritten.
            NotImplementedError: the storage is of another kind.
        """
        if not isinstance(storage, SavedDatasetFileStorage):
            raise NotImplementedError(
                f"this store persists to a SavedDatasetFileStorage, not to a {type(storage).__name__}"
            )
        path = Path(storage.file_options.uri)
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(str(path))
        self.to_parquet(path)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return pa.concat_tables(self._tables())

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame


def write_whole(path: Path, tables: Iterable[pa.Table]) -> int:
    """Write `tables`, at least one, to a Parquet file that appears whole or not at all; its row count."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    rows = 0
    try:
        waiting = iter(tables)
        first = next(waiting)
        with pq.ParquetWriter(draft, first.schema, compression="zstd") as writer:
            for table in _chain(first, waiting):
                writer.write_table(table)
                rows += table.num_rows
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return rows


def _chain(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest
