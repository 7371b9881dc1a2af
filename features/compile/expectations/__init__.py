"""Compile declarations to Great Expectations suites: what every partition of a table must look like.

Suites are put together (suites) from single checks (checks) of the columns that a gate hands them (frames);
where one was not met, the rows at fault are found by another (faults).
"""

from features.compile.expectations.checks import Expectation, column_of, words_of
from features.compile.expectations.faults import nulls_behind, rows_behind
from features.compile.expectations.frames import (
    DS,
    PARTITION_END,
    PARTITION_START,
    null_share_of,
    positive_share_of,
    type_of,
    unknown_share_of,
)
from features.compile.expectations.suites import (
    STRING,
    TableSuites,
    event_suites,
    training_suites,
    view_suites,
)

__all__ = [
    "DS",
    "PARTITION_END",
    "PARTITION_START",
    "STRING",
    "Expectation",
    "TableSuites",
    "column_of",
    "event_suites",
    "null_share_of",
    "nulls_behind",
    "positive_share_of",
    "rows_behind",
    "training_suites",
    "type_of",
    "unknown_share_of",
    "view_suites",
    "words_of",
]
