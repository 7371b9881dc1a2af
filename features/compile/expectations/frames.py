"""The columns that checks read beside a table's own: what a gate adds to rows, and says of partitions.

A partition's frame has one row with its row count, its columns' types and its shares of nulls; rows carry
their partition's day and range of time.
"""

from __future__ import annotations

# The partition's day and the range of time [start, end) its events must lie in; a snapshot carries the end.
DS, PARTITION_START, PARTITION_END = "ds", "partition_start", "partition_end"


def type_of(column: str) -> str:
    """Name of the statistic that holds a column's type."""
    return f"{column}.type"


def null_share_of(column: str) -> str:
    """Name of the statistic that holds a column's share of nulls, 0 to 1."""
    return f"{column}.null_share"


def positive_share_of(label: str) -> str:
    """Name of the statistic that holds a label's share of positives in the training days, 0 to 1."""
    return f"{label}.positive_share"


def unknown_share_of(label: str) -> str:
    """Name of the statistic that holds a label's share of nulls in the training days, 0 to 1."""
    return f"{label}.unknown_share"
