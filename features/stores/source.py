"""A table of the lake as a Feast data source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow.parquet as pq
from feast import RepoConfig, ValueType
from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.type_map import pa_to_feast_value_type

from features.stores.errors import StoreError
from features.stores.partitions import data_files


class LakeSource(DataSource):  # type: ignore[misc]
    """A lake table, with or without days; its files are found through their manifests.

    Feast's own FileSource would list the folder and so read a partition that is being replaced.
    """

    def __init__(
        self,
        *,
        folder: Path,
        name: str,
        timestamp_field: str = "event_timestamp",
        created_timestamp_column: str = "created_timestamp",
        description: str = "",
        tags: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            name=name,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            description=description,
            tags=tags,
        )
        self.folder = folder

    def __hash__(self) -> int:
        return hash((super().__hash__(), self.folder))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LakeSource) and super().__eq__(other) and self.folder == other.folder

    def source_type(self) -> DataSourceProto.SourceType:
        return DataSourceProto.CUSTOM_SOURCE

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> LakeSource:
        return LakeSource(
            folder=Path(data_source.custom_options.configuration.decode()),
            name=data_source.name,
            timestamp_field=data_source.timestamp_field,
            created_timestamp_column=data_source.created_timestamp_column,
            description=data_source.description,
            tags=dict(data_source.tags),
        )

    def _to_proto_impl(self) -> DataSourceProto:
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=f"{type(self).__module__}.{type(self).__qualname__}",
            custom_options=DataSourceProto.CustomSourceOptions(configuration=str(self.folder).encode()),
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            description=self.description,
            tags=self.tags,
        )

    def validate(self, config: RepoConfig) -> None:
        """Accept a table that is yet to be written: `feast apply` comes before the first day's data."""

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        return pa_to_feast_value_type  # type: ignore[no-any-return]

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Column names and Arrow type names of the table's newest file.

        Raises:
            StoreError: no partition has been written.
        """
        files = data_files(self.folder)
        if not files:
            raise StoreError(f"{self.folder} holds no data yet; run `gatehouse aggregate` first")
        schema = pq.read_schema(files[-1])
        return list(zip(schema.names, map(str, schema.types), strict=True))
