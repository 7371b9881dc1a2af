"""Write Arrow tables of one view: here, or wherever the writer has been sent to."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from features.stores.errors import StoreError
from features.stores.packed.backend import Backend
from features.stores.packed.keys import encode_column
from features.stores.packed.pack import pack
from features.stores.packed.schema import ViewSchema


@dataclass(frozen=True, slots=True)
class TableWriter:
    """Knows where the columns of a view's tables lie, and which generations its rows belong in.

    Attributes:
        schema: the view's.
        event, created: names of the time columns.
        generations: numbers of the generations to write.
    """

    schema: ViewSchema
    event: str
    created: str
    generations: tuple[int, ...]

    def write(self, backend: Backend, table: pa.Table) -> int:
        """Write the rows of `table`, which has keys, features and times; how many they are.

        Raises:
            StoreError: a row has no key or no time.
        """
        for name in (*self.schema.keys, self.event, self.created):
            if nulls := table.column(name).null_count:
                raise StoreError(
                    f"{nulls} of {table.num_rows} rows for view {self.schema.name} have no {name}; "
                    "none of them was written"
                )
        keys = encode_column([table.column(name) for name in self.schema.keys])
        rows = pack(self.schema, table, _microseconds(table, self.event), _microseconds(table, self.created))
        for generation in self.generations:
            backend.write(self.schema, generation, keys, rows)
        return int(table.num_rows)


def _microseconds(table: pa.Table, column: str) -> pa.ChunkedArray:
    return pc.cast(table.column(column), pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
