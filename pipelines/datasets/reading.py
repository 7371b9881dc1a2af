"""Read raw CSV and Parquet files into Spark; each row knows its file and its number there."""

from __future__ import annotations

import csv
import difflib
import gzip
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.types import StringType, StructField, StructType

from pipelines.datasets.columns import Use, agreeing
from pipelines.errors import RawDataError

_MALFORMED = "__malformed"
OTHER_FIELDS = "the row has another number of fields than its header"
OPEN_QUOTE = "a quote that is not closed takes in the lines below it"
_SHOWN_COLUMNS = 30
_SHOWN_LETTERS = 40
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
    uses: Mapping[str, Use] | None = None,
) -> DataFrame:
    """All rows of `files` as columns `raw`, `source`, `line` and `malformed`.

    `raw` is a struct of the file's own columns: text from CSV, the file's types from Parquet, and text
    again where the files do not agree on a column's type.
    `malformed` says what is wrong with a CSV row: it has another number of fields than the header, or
    a quote that is not closed makes it run on over the lines that follow. A CSV file may
    hold line breaks within quotes and is therefore read by one core; a large log is better
    kept in several files, or in Parquet.

    Args:
        spark: the session to read in.
        files: CSV (.csv, .tsv, and either .gz) or Parquet (.parquet), not necessarily alike.
        needed: columns that every file must have.
        way_out: what to do about a missing one, the end of the error message.
        csv_format: by default commas (tabs in .tsv) and double quotes.
        uses: needed columns of Parquet files that must have a type fit for their use.

    Raises:
        RawDataError: a file cannot be read, lacks a needed column, or has one of an unfit type.
    """
    frames = []
    tables = [path for path in files if path.suffix == ".parquet"]
    for schema, paths in _alike(tables, _parquet_schema).items():
        _require(spark, paths[0], schema.names, needed, way_out)
        _require_types(paths[0], schema, uses or {}, way_out)
        frames.append(_read_parquet(spark, paths, schema))
    texts = [path for path in files if path.suffix != ".parquet"]
    for header, paths in _alike(texts, lambda path: _header(path, csv_format)).items():
        _require(spark, paths[0], header.names, needed, way_out)
        frames.append(_read_csv(spark, paths, header, needed))
    alike = agreeing(frames, uses or {})
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), alike)


@contextmanager
def reading_raw() -> Iterator[None]:
    """Name the raw file that Spark cannot read on from; it finds out long after `read_files`.

    Raises:
        RawDataError: a file is cut off or damaged behind its beginning.
    """
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        found = re.search(
            r"FAILED_READ_FILE\S* [^\n]*? file (?:file:/*(?=/))?([^\n]+?)\.(?:\s|$)", str(error)
        )
        if found is None:
            raise
        raise RawDataError(
            f"{found[1]} cannot be read to its end: it is cut off or damaged; get the file anew"
        ) from error


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
    except csv.Error as error:
        raise RawDataError(f"{path} has no readable header: {error}; is a quote in it not closed?") from error
    except (EOFError, zlib.error) as error:
        raise RawDataError(f"{path} is cut off or damaged: {error}; get the file anew") from error
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
        f"closest is {_short(closest[0])!r}; its columns are {_listed(names)}. {way_out}"
    )


def _require_types(path: Path, schema: pa.Schema, uses: Mapping[str, Use], way_out: str) -> None:
    for name, use in uses.items():
        dtype = schema.field(name).type
        if not use.fits(dtype):
            raise RawDataError(f"{path}: column {name!r} is {dtype}, but {use}. {way_out}")


def _listed(names: Sequence[str]) -> str:
    """Names of columns, not all of very many: a broken header can be as long as its file."""
    shown = ", ".join(map(_short, names[:_SHOWN_COLUMNS]))
    return shown if len(names) <= _SHOWN_COLUMNS else f"{shown} and {len(names) - _SHOWN_COLUMNS} more"


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN_LETTERS else f"{name[:_SHOWN_LETTERS]}\u2026"


def _quoted(name: str) -> Column:
    return sf.col("`" + name.replace("`", "``") + "`")


def _source() -> Column:
    """The file's name; Spark gives it URL-encoded, though with blanks as %20 only."""
    return sf.url_decode(sf.replace(sf.col("_metadata.file_name"), sf.lit("+"), sf.lit("%2B")))


def _read_csv(
    spark: SparkSession, paths: Sequence[Path], header: _Header, needed: Collection[str]
) -> DataFrame:
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
        _malformed(needed).alias("malformed"),
        sf.monotonically_increasing_id().alias("_id"),
    )
    # A file is read in one piece, so its rows have consecutive ids, from some first one on.
    firsts = numbered.groupBy("_path").agg(sf.min("_id").alias("_first"))
    return numbered.join(sf.broadcast(firsts), "_path").select(
        "raw", "source", (sf.col("_id") - sf.col("_first") + 1).alias("line"), "malformed"
    )


def _malformed(needed: Collection[str]) -> Column:
    """What is wrong with a row of a CSV file; null where nothing is.

    No column that a mapping names has line breaks, so one within it, or in a row whose fields do not
    match the header, is the work of a quote.
    """
    record = sf.col(_MALFORMED)
    broken = [record, *(_quoted(name) for name in needed)]
    runs_on = reduce(lambda one, other: one | other, (sf.contains(text, sf.lit("\n")) for text in broken))
    return sf.when(runs_on, sf.lit(OPEN_QUOTE)).when(record.isNotNull(), sf.lit(OTHER_FIELDS))


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
        sf.lit(None).cast("string").alias("malformed"),
    )
