"""Partitions as a gate sees them: their rows in Arrow, and one row of statistics each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.compile.expectations import (
    DS,
    PARTITION_END,
    PARTITION_START,
    STRING,
    null_share_of,
    positive_share_of,
    type_of,
    unknown_share_of,
)
from pipelines.counts import DayCounts, read_counts
from pipelines.days import DAY, Days
from pipelines.errors import MissingPartitionError
from pipelines.gates.comparison import Drift
from pipelines.gates.drift import null_share
from pipelines.lake import Lake

HISTORY = 14  # days before a day that say how many rows are usual
MIN_HISTORY = 2  # one day alone is not usual: a log often begins in the middle of one
ROWS_AT_ONCE = 5_000_000  # bounds the memory of one validation, whatever the number of days

QUARANTINED, QUARANTINED_FOR = "quarantined_share", "quarantined_for"

Statistics = Mapping[str, object]


@dataclass(frozen=True)
class Partition:
    """One partition, read through its manifest.

    Attributes:
        ds: its day; None for a table without days.
        content: content hash of the manifest.
        start, end: its rows' time lies in [start, end); a snapshot carries `end`.
        statistics: its row count, and the type and null share of every declared column.
        rows: the declared columns, lists by their length; None when a type is not as declared.
        drift: how its features compare with the training days; None where they are not compared.
    """

    ds: date | None
    content: str
    start: datetime
    end: datetime
    statistics: Statistics
    rows: pa.Table | None
    drift: Drift | None = None

    @property
    def name(self) -> str:
        return "" if self.ds is None else f"ds={self.ds}"


def read_partition(
    lake: Lake,
    table: str,
    ds: date | None,
    columns: Mapping[str, str],
    start: datetime,
    end: datetime,
    facts: Statistics,
) -> Partition:
    """Read a partition's declared columns; `facts` are statistics that its files do not tell.

    Raises:
        MissingPartitionError: the partition was never written.
    """
    manifest = lake.manifest(table, ds)
    paths = [lake.folder(table, ds) / file.name for file in manifest.files]
    types = _types([pq.read_schema(path) for path in paths], columns)
    as_declared = all(types[column] in (None, dtype) for column, dtype in columns.items())
    rows = None
    if as_declared and paths:
        # Strings stay dictionary codes: a tenth of the memory, and quick to compare.
        strings = [column for column, dtype in columns.items() if dtype == STRING]
        tables = [pq.ParquetFile(path, read_dictionary=strings).read(list(columns)) for path in paths]
        rows = pa.concat_tables(tables).unify_dictionaries()
    statistics: dict[str, object] = {"rows": manifest.rows, **facts}
    for column in columns:
        statistics[type_of(column)] = types[column]
        statistics[null_share_of(column)] = None if rows is None else null_share(rows[column])
    return Partition(ds, manifest.content, start, end, statistics, None if rows is None else _flat(rows))


def label_statistics(rows: pa.Table | None, labels: Iterable[str], before: datetime) -> dict[str, object]:
    """Statistics of each label before an instant: its share of nulls, and of 1 among its values.

    None where there is nothing to take a share of.
    """
    known = None if rows is None else rows.filter(pc.less(rows["event_timestamp"], pa.scalar(before)))
    statistics: dict[str, object] = {}
    for label in labels:
        column = None if known is None else known[label]
        statistics[unknown_share_of(label)] = None if column is None else null_share(column)
        statistics[positive_share_of(label)] = (
            None if column is None else pc.mean(pc.equal(column, 1)).as_py()
        )
    return statistics


def usual_rows(counts: Mapping[date, int], ds: date) -> float | None:
    """Median row count of the up to 14 written days before `ds`; None with fewer than two."""
    before = [counts[day] for offset in range(1, HISTORY + 1) if (day := ds - DAY * offset) in counts]
    return float(median(before)) if len(before) >= MIN_HISTORY else None


def volume(counts: Mapping[date, int], ds: date) -> dict[str, object]:
    """Statistics of a day's volume: usual rows and the ratio to them, both None without history."""
    usual = usual_rows(counts, ds)
    return {"usual_rows": usual, "ratio": counts[ds] / usual if usual else None}


def batches(partitions: Iterable[Partition]) -> Iterator[list[Partition]]:
    """Group partitions, in order, into validations of about `ROWS_AT_ONCE` rows."""
    batch: list[Partition] = []
    rows = 0
    for partition in partitions:
        batch.append(partition)
        rows += partition.rows.num_rows if partition.rows is not None else 0
        if rows >= ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def statistics_frame(partitions: Sequence[Partition]) -> pd.DataFrame:
    """One row per partition, in order."""
    return pd.DataFrame([{DS: partition.name, **partition.statistics} for partition in partitions])


def rows_frame(partitions: Sequence[Partition]) -> pd.DataFrame:
    """All rows of the partitions whose types are as declared, with the columns a gate adds."""
    tables = {partition.name: partition.rows for partition in partitions if partition.rows is not None}
    if not tables:
        return pd.DataFrame()
    frame: pd.DataFrame = pa.concat_tables(tables.values()).unify_dictionaries().to_pandas()
    owner = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables.values()])
    frame[DS] = pd.Categorical(np.array(list(tables))[owner], categories=list(tables))
    readable = [partition for partition in partitions if partition.rows is not None]
    for column, instants in (
        (PARTITION_START, [partition.start for partition in readable]),
        (PARTITION_END, [partition.end for partition in readable]),
    ):
        frame[column] = pd.DatetimeIndex(instants).as_unit("us")[owner]
    return frame


def _types(schemas: Sequence[pa.Schema], columns: Iterable[str]) -> dict[str, str | None]:
    """The type of every column, "absent" where a file lacks it; None without files."""

    def found(column: str) -> str | None:
        names = {_type_name(s.field(column).type) if column in s.names else "absent" for s in schemas}
        return " or ".join(sorted(names)) or None

    return {column: found(column) for column in columns}


def _type_name(dtype: pa.DataType) -> str:
    """Arrow's types by the names the declarations use."""
    if pa.types.is_list(dtype):
        return f"list<{_type_name(dtype.value_type)}>"
    if pa.types.is_timestamp(dtype):
        return f"timestamp[{dtype.unit}, {dtype.tz}]"
    return {"float": "float32", "double": "float64"}.get(str(dtype), str(dtype))


def _flat(rows: pa.Table) -> pa.Table:
    """Replace lists by their lengths."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_list(field.type):
            rows = rows.set_column(index, field.name, pc.list_value_length(rows[field.name]))
    return rows


def quarantine(lake: Lake, ds: date) -> dict[str, object]:
    """Statistics of what ingest put into quarantine: its share of a day's raw rows, and why, in words.

    Both None where no counts or rows are.
    """
    unknown: dict[str, object] = {QUARANTINED: None, QUARANTINED_FOR: None}
    try:
        counts = read_counts(lake, ds)
    except MissingPartitionError:
        return unknown
    if not counts.rows:
        return unknown
    return {
        QUARANTINED: counts.quarantined / counts.rows,
        QUARANTINED_FOR: _reasons(lake, counts) if counts.quarantined else None,
    }


def _reasons(lake: Lake, counts: DayCounts) -> str:
    ordered = sorted(counts.reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    words = "; ".join(f"{reason} in {rows} of {counts.rows} rows" for reason, rows in ordered)
    kept = lake.files("quarantine", Days.one(counts.ds)) if counts.ds in lake.days("quarantine") else ()
    for path in kept:
        rows = pq.read_table(path, columns=["reason", "source", "line"])
        first = rows.filter(pc.equal(rows["reason"], ordered[0][0])).slice(0, 1).to_pylist()
        if first:
            return f"{words}; for example {first[0]['source']} row {first[0]['line']}"
    return words
