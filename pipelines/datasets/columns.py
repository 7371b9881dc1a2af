"""Types of raw columns: which fit their use, and what becomes of columns on whose type files do not agree."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf
from pyspark.sql.types import DataType, DoubleType, FloatType


class Use(StrEnum):
    """What a column is read as, and so which types of Parquet it may have."""

    ID = "an id is text or a number"
    NUMBER = "a label or a quantity is a number, text, or true and false"
    TIME = "a time is a timestamp, a date, text or a number"

    def fits(self, dtype: pa.DataType) -> bool:
        if pa.types.is_dictionary(dtype):
            return self.fits(dtype.value_type)
        number = pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)
        text = pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_null(dtype)
        if number or text:
            return True
        if self is Use.ID:
            return not pa.types.is_nested(dtype)
        if self is Use.NUMBER:
            return bool(pa.types.is_boolean(dtype))
        return bool(pa.types.is_timestamp(dtype) or pa.types.is_date(dtype))


def agreeing(frames: Sequence[DataFrame], uses: Mapping[str, Use]) -> list[DataFrame]:
    """The frames, with text instead of those raw columns whose types differ."""
    found: dict[str, set[DataType]] = defaultdict(set)
    for frame in frames:
        for name, dtype in types_of(frame).items():
            found[name].add(dtype)
    differing = {name for name, types in found.items() if len(types) > 1}
    return [_with_text(frame, differing, uses) for frame in frames] if differing else list(frames)


def _with_text(frame: DataFrame, names: Collection[str], uses: Mapping[str, Use]) -> DataFrame:
    columns = []
    for name, dtype in types_of(frame).items():
        column = sf.col("raw").getField(name)
        if name in names:
            column = id_text(column, dtype) if uses.get(name) is Use.ID else column.cast("string")
        columns.append(column.alias(name))
    return frame.withColumn("raw", sf.struct(*columns))


def id_text(column: Column, dtype: DataType) -> Column:
    """An id as text: whole floats without point and exponent, null where a float is NaN or infinite."""
    if not isinstance(dtype, FloatType | DoubleType):
        return column.cast("string")
    whole = column.try_cast("bigint")
    finite = sf.when(sf.abs(column) < sf.lit(math.inf), column)
    return sf.when(whole == column, whole.cast("string")).otherwise(finite.cast("string"))


def types_of(frame: DataFrame) -> dict[str, DataType]:
    """The types of the raw columns."""
    raw = frame.schema["raw"].dataType
    return {name: raw[name].dataType for name in raw.fieldNames()}
