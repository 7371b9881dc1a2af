"""Read raw CSV and Parquet files into Spark; each row knows its file and its number there."""

from __future__ import annotations

import csv
import difflib
import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.types import StringType, StructField, StructType

from pipelines.errors import RawDataError

_MALFORMED = "__malformed"
Look = TypeVar("Look", bound=Hashable)


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How a text file separates and quotes its fields; an empty `quote` means that nothing is quoted."""

    separator: str = ","
    quote: str = '"'


def read_files(
    spark: SparkSession,
    files: Sequence[Path],
    needed: Collection[str],
    way_out: str,
    csv_format: CsvFormat | None = None,
) -> DataFrame:
    """All rows of `files` as columns `raw`, `source`, `line` and `malformed`.

    `raw` is a struct of the file's own columns: text from CSV, the file's types from Parquet.
    `malformed` marks CSV rows with another number of fields than the header. A CSV file may
    hold line breaks within quotes and is therefore read by one core; a large log is better
    kept in several files, or in Parquet.

    Args:
        spark: the session to read in.
        files: CSV (.csv, .tsv, and either .gz) or Parquet (.parquet), not necessarily alike.
        needed: columns that every file must have.
        way_out: what to do about a missing one, the end of the error message.
        csv_format: by default commas (tabs in .tsv) and double quotes.

    Raises:
        RawDataError: a file cannot be read, or lacks a needed column.
    """
    frames = []
    tables = [path for path in files if path.suffix == ".parquet"]
    for schema, paths in _alike(tables, _parquet_schema).items():
        _require(spark, paths[0], schema.names, needed, way_out)
        frames.append(_read_parquet(spark, paths, schema))
    texts = [path for path in files if path.suffix != ".parquet"]
    for header, paths in _alike(texts, lambda path: _header(path, csv_format)).items():
        _require(spark, paths[0], header.names, needed, way_out)
        frames.append(_read_csv(spark, paths, header))
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames)


def _alike(paths: Sequence[Path], look: Callable[[Path], Look]) -> dict[Look, list[Path]]:
    """Group files that `look` alike, so that each group is one scan."""
    groups: dict[Look, list[Path]] = defaultdict(list)
    for path in paths:
        groups[look(path)].append(path)
    return groups


@dataclass(frozen=True, slots=True)
class _Header:
    names: tuple[str, ...]
    format: CsvFormat


def _header(path: Path, csv_format: CsvFormat | None) -> _Header:
    used = csv_format or CsvFormat("\t" if ".tsv" in path.suffixes else ",")
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
            names = next(
                csv.reader(lines, delimiter=used.separator, quotechar=used.quote)
                if used.quote
                else csv.reader(lines, delimiter=used.separator, quoting=csv.QUOTE_NONE)
            )
    except StopIteration:
        raise RawDataError(f"{path} is empty: not even a header; get the file anew") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RawDataError(f"{path} is not readable as UTF-8 text: {error}") from error
    return _Header(tuple(names), used)


def _parquet_schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path).remove_metadata()
    except (OSError, pa.ArrowInvalid) as error:
        raise RawDataError(f"{path} is not a Parquet file: {error}; get the file anew") from error


def _require(
    spark: SparkSession, path: Path, names: Sequence[str], needed: Collection[str], way_out: str
) -> None:
    repeated = [name for name, times in Counter(name.lower() for name in names).items() if times > 1]
    if repeated:
        raise RawDataError(f"{path} has several columns called {', '.join(repeated)}; rename all but one")
    missing = [name for name in needed if name not in names]
    if not missing:
        return
    closest = difflib.get_close_matches(missing[0], names, n=1, cutoff=0.0)
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else spark.read.csv(
        str(path), header=True, multiLine=True
    ).count()  # fmt: skip
    raise RawDataError(
        f"{path} ({rows:,} rows) has no column {', '.join(map(repr, missing))}; "
        f"closest is {closest[0]!r}; its columns are {', '.join(names)}. {way_out}"
    )


def _quoted(name: str) -> Column:
    return sf.col("`" + name.replace("`", "``") + "`")


def _source() -> Column:
    """The file's name; Spark gives it URL-encoded, though with blanks as %20 only."""
    return sf.url_decode(sf.replace(sf.col("_metadata.file_name"), sf.lit("+"), sf.lit("%2B")))


def _read_csv(spark: SparkSession, paths: Sequence[Path], header: _Header) -> DataFrame:
    fields = [StructField(name, StringType()) for name in (*header.names, _MALFORMED)]
    rows = spark.read.csv(
        [str(path) for path in paths], schema=StructType(fields), header=True, multiLine=True,
        sep=header.format.separator, quote=header.format.quote, escape=header.format.quote or None,
        columnNameOfCorruptRecord=_MALFORMED,
    )  # fmt: skip
    numbered = rows.select(
        sf.struct(*(_quoted(name) for name in header.names)).alias("raw"),
        _source().alias("source"),
        sf.col("_metadata.file_path").alias("_path"),
        sf.col(_MALFORMED).isNotNull().alias("malformed"),
        sf.monotonically_increasing_id().alias("_id"),
    )
    # A file is read in one piece, so its rows have consecutive ids, from some first one on.
    firsts = numbered.groupBy("_path").agg(sf.min("_id").alias("_first"))
    return numbered.join(sf.broadcast(firsts), "_path").select(
        "raw", "source", (sf.col("_id") - sf.col("_first") + 1).alias("line"), "malformed"
    )


def _read_parquet(spark: SparkSession, paths: Sequence[Path], schema: pa.Schema) -> DataFrame:
    columns = [
        sf.timestamp_micros(sf.expr(f"`{field.name.replace('`', '``')}` div 1000")).alias(field.name)
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
        else _quoted(field.name)
        for field in schema
    ]
    return spark.read.parquet(*map(str, paths)).select(
        sf.struct(*columns).alias("raw"),
        _source().alias("source"),
        (sf.col("_metadata.row_index") + 1).alias("line"),
        sf.lit(False).alias("malformed"),
    )
