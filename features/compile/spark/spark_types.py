"""The Spark type of each declared type."""

from __future__ import annotations

from pyspark.sql.types import ArrayType, DataType, FloatType, LongType, StringType

from features.declarations.features import DType

SPARK_TYPES: dict[DType, DataType] = {
    DType.FLOAT: FloatType(),
    DType.INT: LongType(),
    DType.STRING: StringType(),
    DType.STRINGS: ArrayType(StringType()),
    DType.INTS: ArrayType(LongType()),
}
